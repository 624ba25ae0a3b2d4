select
    customer,
    count(*) as payments,
    sum(amount) as revenue
from {{ ref('stg_payments') }}
group by customer
