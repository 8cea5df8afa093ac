"""What a sandbox may reach, and the only way there: policy, namespaces without an uplink, and the gateway."""
