"""Chooses where models run: CUDA where there is a GPU, the CPU where there is none."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from worker.errors import JobFailed

DeviceChoice = Literal["auto", "cpu", "cuda"]
Precision = Literal["float32", "bfloat16"]

_GPU_DRIVER = ("/dev/nvidiactl", "/dev/dxg")
_CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_MEMORY_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


@dataclass(frozen=True, slots=True)
class Device:
    """A place to compute. `torch_name` is what torch calls it; `label` is for people; `threads` are CPU threads.

    `precision` is what torch models compute in there.
    """

    torch_name: str
    label: str
    threads: int
    precision: Precision = "float32"

    @property
    def is_cuda(self) -> bool:
        """True on an NVIDIA GPU."""
        return self.torch_name.startswith("cuda")

    @property
    def onnx_providers(self) -> list[str]:
        """What onnxruntime should try, best first."""
        return ["CUDAExecutionProvider", "CPUExecutionProvider"] if self.is_cuda else ["CPUExecutionProvider"]


def choose_device(choice: DeviceChoice = "auto") -> Device:
    """Return the device to use.

    Raises:
        JobFailed: `cuda` was asked for and torch sees no GPU.
    """
    threads = cpu_count()
    on_cpu = Device("cpu", f"CPU, {threads} threads", threads)
    if choice == "cpu":
        return on_cpu
    import torch  # noqa: PLC0415  # two seconds to import; `framesift check` does without

    if choice == "auto" and not torch.cuda.is_available():
        return on_cpu
    if not torch.cuda.is_available():
        raise JobFailed(
            "device: 'cuda' was asked for (FRAMESIFT_DEVICE), but torch sees no GPU; choose auto or cpu"
        )
    # One process drives one GPU; a deployment picks it with CUDA_VISIBLE_DEVICES.
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    reduced = torch.cuda.is_bf16_supported(including_emulation=False)
    return Device("cuda:0", torch.cuda.get_device_name(0), threads, "bfloat16" if reduced else "float32")


def precision_of(choice: DeviceChoice) -> Precision:
    """Return what torch models would compute in, without importing torch on a machine that has no GPU driver."""
    if choice == "cpu" or not any(Path(name).exists() for name in _GPU_DRIVER):
        return "float32"
    return choose_device(choice).precision


def gpu_count() -> int:
    """Return how many GPUs this process may use; imports torch where there is a GPU driver."""
    if not any(Path(name).exists() for name in _GPU_DRIVER):
        return 0
    import torch  # noqa: PLC0415

    return torch.cuda.device_count()


def assign_gpu(index: int) -> None:
    """Leave this process one of the GPUs that it may use, by its number among its worker's processes.

    Must come before torch looks for GPUs; without several, nothing changes.
    """
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = [str(number) for number in range(_gpus_by_driver())] if allowed is None else allowed.split(",")
    if len(names) > 1:
        os.environ["CUDA_VISIBLE_DEVICES"] = names[index % len(names)].strip()


def _gpus_by_driver() -> int:
    """Return how many GPUs the driver shows, without torch: /dev/nvidia0, /dev/nvidia1 and so on."""
    return sum(path.name[len("nvidia") :].isdigit() for path in Path("/dev").glob("nvidia*"))


def gpu_memory() -> tuple[int, int]:
    """Return used and total bytes of the GPU that torch uses in this process; zeros where it uses none."""
    import torch  # noqa: PLC0415

    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return 0, 0
    free, total = torch.cuda.mem_get_info()
    return total - free, total


def cpu_count() -> int:
    """Return how many CPUs this process may use: by affinity, and by the quota of its container."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = _CPU_QUOTA.read_text().split()
        return max(1, min(allowed, -(-int(quota) // int(period))))
    except (OSError, ValueError):  # no such file outside Linux, "max" where there is no quota
        return allowed


def memory_bytes() -> int:
    """Return how much memory this process may use: the machine's, or less by the limit of its container."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in _MEMORY_LIMITS:
        with suppress(OSError, ValueError):  # no such file outside such a container, "max" without a limit
            limits.append(int(path.read_text()))
    return min(limits)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell a device's out-of-memory error from every other, for torch and for onnxruntime."""
    import torch  # noqa: PLC0415

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    library = type(error).__module__.partition(".")[0]
    if (
        library != "onnxruntime" and type(error) is not RuntimeError
    ):  # torch on a CPU raises a bare RuntimeError
        return False
    text = str(error)
    return any(sign in text for sign in _OUT_OF_MEMORY)


_OUT_OF_MEMORY = (
    "Failed to allocate memory",  # onnxruntime's arena
    "bad allocation",
    "std::bad_alloc",
    "CUDA failure 2:",  # cudaErrorMemoryAllocation
    "CUDA out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",
)
