"""What people see of the lake and its runs: status, photo history, progress, costs, MLflow runs. Imports no Dagster."""
