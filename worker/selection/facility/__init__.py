"""The parts of the submodular sum."""
