#!/bin/bash
# A study on a SLURM cluster with a disk that all nodes share: an array job whose tasks are workers of one study.
#
#   rlgen sweep dqn LunarLander --search lr=1e-4..1e-2:log --trials 200 --seeds 8 --name lander --prepare
#   sbatch slurm.sh lander
#
# A task that is stopped at its time limit saves its run (SIGTERM comes two minutes before), and is queued again; whoever
# joins next takes the run up from its checkpoint. Locks of files must work across nodes: NFS 4, Lustre with flock, GPFS.
#SBATCH --array=1-16
#SBATCH --cpus-per-task=1
#SBATCH --time=04:00:00
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append

export OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK
rlgen sweep --join "$1" --quiet &
worker=$!
trap 'kill -TERM $worker' TERM
wait $worker; code=$?
if [ $code -gt 128 ]; then  # the trap, or the worker, was stopped
    wait $worker
    scontrol requeue "$SLURM_JOB_ID"
fi
exit $code
