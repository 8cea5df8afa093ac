"""What manages one host: templates, machines, capacity. Knows no HTTP."""
