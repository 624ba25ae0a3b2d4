"""What a local dbt Cloud knows: the account, jobs, runs and their queues."""
