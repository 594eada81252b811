"""The accelerators: the descriptions that XLA needs to compile for each, and the packages of its compilers."""

import importlib.metadata
import json
import re

# From XLA's repository: xla/backends/gpu/target_config/specs/h100_sxm.txtpb and a100_sxm_80.txtpb.
_EVERY_GPU = """
threads_per_block_limit: 1024 threads_per_warp: 32 shared_memory_per_block: 49152 threads_per_core_limit: 2048
block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
registers_per_core_limit: 65536 registers_per_block_limit: 65536
thread_dim_limit_x: 1024 thread_dim_limit_y: 1024 thread_dim_limit_z: 64
device_vendor: "NVIDIA Corporation" device_address_bits: 64
driver_version: "13.0.0" runtime_version: "13.0.0" compile_time_toolkit_version: "13.0.0" dnn_version: "9.10.0"
"""
_GPUS = {  # each name, and the values in which the GPUs differ
    "H100": """"NVIDIA H100 80GB HBM3" cuda_compute_capability { major: 9 }
shared_memory_per_core: 233472 shared_memory_per_block_optin: 232448 core_count: 132 fpus_per_core: 128
memory_bandwidth: 3352320000000 l2_cache_size: 52428800 clock_rate_ghz: 1.98 device_memory_size: 84942979072""",
    "A100": """"NVIDIA A100-SXM4-80GB" cuda_compute_capability { major: 8 }
shared_memory_per_core: 167936 shared_memory_per_block_optin: 166912 core_count: 108 fpus_per_core: 64
memory_bandwidth: 2039040000000 l2_cache_size: 41943040 clock_rate_ghz: 1.41 device_memory_size: 85100068864""",
}
TPU = "TPU v5e"
TARGETS = (*_GPUS, TPU)


def device(target: str):
    """Return a device to compile for, which this machine does not have."""
    from jax.experimental import topologies

    if target == TPU:
        return topologies.get_topology_desc("v5e:2x2", platform="tpu").devices[0]
    name, own = re.fullmatch(r'(".*?") (.*)', _GPUS[target], re.DOTALL).groups()
    about = 'platform_name: "CUDA" dnn_version_info { major: 9 minor: 10 patch: 0 }'
    config = f"gpu_device_info {{ {_EVERY_GPU} name: {name} {own} }} {about} device_description_str: {name}"
    how = {"topology_name": "", "topology": "1x1x1", "target_config": config}
    return topologies.get_topology_desc(platform="cuda", **how).devices[0]


def main():
    """Print as JSON the version of the installed jax, and the compiler packages (1 GB) that pip must install for it."""
    version = importlib.metadata.version("jax")
    tpu = next(filter(None, (re.match(r"libtpu[^;\s]*", line) for line in importlib.metadata.requires("jax") or ())))
    print(json.dumps([version, [f"jax-cuda13-plugin=={version}", f"jax-cuda13-pjrt=={version}", tpu[0]]]))


if __name__ == "__main__":
    main()
