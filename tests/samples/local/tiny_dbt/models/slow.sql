{{ config(enabled=env_var("TINY_SLOW", "no") == "yes") }}
select sum(hash(a.range + b.range)) as total from range(1000000) a, range(1000000) b
