"""Loads orders with dlt."""

import dlt

ORDERS = [
    {"id": 1, "customer": "Ada", "status": "paid", "amount": 9.5},
    {"id": 2, "customer": "Grace", "status": "open", "amount": 7.0},
]

pipeline = dlt.pipeline("orders", destination="duckdb", dataset_name="shop")
print(pipeline.run(ORDERS, table_name="orders", primary_key="id", write_disposition="merge"))
