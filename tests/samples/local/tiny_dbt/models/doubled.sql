select id * 2 as doubled from {{ ref("numbers") }}
