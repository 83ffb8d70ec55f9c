#!/bin/bash
# One scan on Slurm:  sbatch slurm.sh /shared/scan.yaml /shared/scan.zarr
# Submit it again to continue a scan that ran out of time.
#
# EDIT the resources and the environment. The environment, the spec and the store are on a file
# system that every node sees.
#SBATCH --job-name=cartograd
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --gpus-per-node=1
#SBATCH --exclusive
#SBATCH --time=24:00:00
#SBATCH --requeue

set -euo pipefail

spec=${1:?usage: sbatch slurm.sh SPEC STORE}
store=${2:?usage: sbatch slurm.sh SPEC STORE}

source /shared/cartograd/.venv/bin/activate

# A token for this allocation alone; srun hands it to every node.
RAY_AUTH_MODE=token
RAY_AUTH_TOKEN=$(python -c 'import secrets; print(secrets.token_hex(32))')
# Node-local, and short: the sockets in it may have 107 characters.
RAY_TMPDIR=/tmp
RAY_USAGE_STATS_ENABLED=0
RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=180
export RAY_AUTH_MODE RAY_AUTH_TOKEN RAY_TMPDIR
export RAY_USAGE_STATS_ENABLED RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed -n 1p)
address=$head:6379

# Starts Ray on every node, waits for all of them, runs the scan on the first, and stops Ray with
# `ray stop`, which stops every Ray on the node: hence --exclusive.
srun ray symmetric-run \
    --address "$address" \
    --min-nodes "$SLURM_JOB_NUM_NODES" \
    --num-cpus "$SLURM_CPUS_PER_TASK" \
    --num-gpus "${SLURM_GPUS_ON_NODE:-0}" \
    -- cartograd run "$spec" --address "$address" --set "store=$store"
