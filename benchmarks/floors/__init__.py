"""The physical limits of the machine, measured in the same run."""
