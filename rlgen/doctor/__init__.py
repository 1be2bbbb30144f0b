"""The checks of `rlgen doctor`: of the machine, of the installation by a short training, of a run."""
