select
    id as payment_id,
    customer,
    cast(amount as decimal(10, 2)) as amount
from {{ source('shop', 'payments') }}
