"""ReLU networks of one layer that learn another of their kind from normal inputs."""
