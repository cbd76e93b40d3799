.PHONY: test lint types check
test:
	python -m pytest
lint:
	ruff check . && ruff format --check .
types:
	mypy
check: lint types test
