"""CDISC Dataset-JSON 1.1, as one JSON document or as lines (NDJSON)."""
