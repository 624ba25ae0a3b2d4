select 1 as id, '{{ target.name }}' as target_name
