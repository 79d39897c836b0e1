"""The pod of each asset, as the function that makes a step's Kubernetes Job configures it. No cluster."""

from __future__ import annotations

import json
from collections.abc import Mapping

import dagster as dg
import pytest
from dagster_k8s.job import DagsterK8sJobConfig, construct_dagster_k8s_job, get_user_defined_k8s_config
from kubernetes.client import V1Container, V1Job, V1PodSpec

from shelf_assets.defs.assets.image_tensors import image_tensors
from shelf_assets.defs.assets.predictions import build_predictions
from shelf_assets.defs.assets.raw_images import raw_images
from shelf_assets.defs.compute import GPU_POD, POOL_GPU

PREDICTIONS = build_predictions()
DECODERS = [raw_images, image_tensors]


def step_job(tags: Mapping[str, str]) -> V1Job:
    """The Job of one step, as k8s_job_executor makes it from the op's tags."""
    config = DagsterK8sJobConfig(job_image="registry.example/shelf-assets:1", dagster_home="/opt/dagster/home")
    return construct_dagster_k8s_job(
        config,
        ["dagster", "api", "execute_step"],
        "step",
        user_defined_k8s_config=get_user_defined_k8s_config(tags),
    )


def pod_of(asset: dg.AssetsDefinition) -> tuple[V1PodSpec, V1Container]:
    pod = step_job(asset.op.tags).spec.template.spec
    (container,) = pod.containers
    return pod, container


def test_predictions_get_one_gpu_and_the_cores_that_feed_it() -> None:
    _, container = pod_of(PREDICTIONS)
    assert container.resources.limits["nvidia.com/gpu"] == "1"
    assert container.resources.requests["cpu"] == "8"
    assert "cpu" not in container.resources.limits, "a CPU limit would throttle the threads that feed the GPU"


def test_predictions_are_scheduled_on_gpu_nodes_only() -> None:
    pod, _ = pod_of(PREDICTIONS)
    (toleration,) = pod.tolerations
    assert (toleration.key, toleration.operator, toleration.effect) == ("nvidia.com/gpu", "Exists", "NoSchedule")
    assert pod.node_selector == {"nvidia.com/gpu.present": "true"}


def test_shared_memory_is_mounted_within_the_memory_limit() -> None:
    pod, container = pod_of(PREDICTIONS)
    mount = next(each for each in container.volume_mounts if each.mount_path == "/dev/shm")
    volume = next(each for each in pod.volumes if each.name == mount.name)
    assert volume.empty_dir.medium == "Memory"
    assert _gibibytes(volume.empty_dir.size_limit) < _gibibytes(container.resources.limits["memory"])


def test_predictions_wait_for_a_gpu_in_the_pool() -> None:
    assert PREDICTIONS.op.pool == POOL_GPU


def test_termination_grace_period_allows_a_chunk_commit() -> None:
    pod, _ = pod_of(PREDICTIONS)
    assert pod.termination_grace_period_seconds == 120


@pytest.mark.parametrize("asset", DECODERS, ids=lambda asset: asset.key.to_user_string())
def test_decoders_get_cores_and_bounded_memory_and_no_gpu(asset: dg.AssetsDefinition) -> None:
    pod, container = pod_of(asset)
    assert container.resources.requests == {"cpu": "2", "memory": "2Gi"}
    assert container.resources.limits == {"memory": "4Gi"}
    assert not pod.tolerations and not pod.node_selector, "a decoder must not occupy a GPU node"


def test_op_tags_reach_the_pod_and_its_container() -> None:
    """dagster-k8s silently ignores pod settings under an unknown key."""
    plain = step_job({}).spec.template.spec
    assert plain.node_selector is None and not plain.containers[0].resources.requests
    for asset in (*DECODERS, PREDICTIONS):
        assert pod_of(asset)[1].resources.requests, f"{asset.op.name} asks for nothing"


@pytest.mark.parametrize("part", ["container_config", "pod_spec_config"])
def test_misspelt_compute_key_is_refused(part: str) -> None:
    shape = GPU_POD["dagster-k8s/config"]
    wrong = shape | {part: shape[part] | {"tolerations_": []}}
    with pytest.raises(Exception, match=r"Unexpected keys in model class V1.*tolerations_"):
        step_job({"dagster-k8s/config": json.dumps(wrong)})


def test_unknown_compute_stage_is_refused() -> None:
    with pytest.raises(dg.DagsterInvalidConfigError, match="pod_config"):
        step_job({"dagster-k8s/config": json.dumps({"pod_config": {}})})


def _gibibytes(quantity: str) -> int:
    assert quantity.endswith("Gi"), f"{quantity} is not in Gi"
    return int(quantity.removesuffix("Gi"))
