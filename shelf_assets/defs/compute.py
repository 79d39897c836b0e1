"""Pod shapes, pool names and owners: the resources of a step. A leaf: imports no other module of this package."""

from typing import Any

POOL_GPU = "gpu"  # limit = number of GPUs that the cluster provides
POOL_DUCKDB = "duckdb"  # a DuckDB file has one writer: limit 1

OWNERS_ML = ["team:ml-platform"]
OWNERS_ANALYTICS = ["team:analytics"]


def _pod(container_config: dict[str, Any], pod_spec_config: dict[str, Any]) -> dict[str, Any]:
    return {"dagster-k8s/config": {"container_config": container_config, "pod_spec_config": pod_spec_config}}


# Decoding is bound by cores, not by memory: objects in flight are bounded to 256 MiB (settings.vision.in_flight_bytes).
CPU_POD: dict[str, Any] = _pod(
    container_config={
        "resources": {"requests": {"cpu": "2", "memory": "2Gi"}, "limits": {"memory": "4Gi"}},
    },
    pod_spec_config={"termination_grace_period_seconds": 60},
)

# One GPU and the eight cores that feed it; /dev/shm counts against the memory limit, hence 16Gi for 2Gi of it.
GPU_POD: dict[str, Any] = _pod(
    container_config={
        "resources": {
            "requests": {"cpu": "8", "memory": "12Gi"},
            "limits": {"memory": "16Gi", "nvidia.com/gpu": "1"},
        },
        "volume_mounts": [{"name": "dshm", "mount_path": "/dev/shm"}],
    },
    pod_spec_config={
        "node_selector": {"nvidia.com/gpu.present": "true"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "volumes": [{"name": "dshm", "empty_dir": {"medium": "Memory", "size_limit": "2Gi"}}],
        # A chunk of rows is committed on SIGTERM; spot nodes give two minutes of notice.
        "termination_grace_period_seconds": 120,
    },
)
