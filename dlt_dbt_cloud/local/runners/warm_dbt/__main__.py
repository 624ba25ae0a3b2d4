"""Starts the program. Nothing of it stays where dbt, or a model in Python, looks for modules."""

import sys
from importlib import import_module
from pathlib import Path

folder = Path(__file__).resolve().parent
sys.path[0] = str(folder.parent)
serving = import_module(f"{folder.name}.serving")
sys.path.pop(0)
serving.main()
