"""The object file with the loops: where it is stored, how it is loaded, and the layout of XLA's structures."""

import ctypes
import re
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest

from brainsurr import events
from brainsurr.events import _handler, _library, _llvm


@pytest.fixture
def folders(monkeypatch, tmp_path):
    """A folder with the two for object files, which are not there yet, and a list of what is compiled."""
    made = []
    monkeypatch.setattr(_library, "_folders", lambda: [tmp_path / "a", tmp_path / "b" / "c"])
    monkeypatch.setattr(_library.tempfile, "tempdir", str(tmp_path / "none"))  # which may be on another disk
    monkeypatch.setattr(_llvm, "compiled", lambda *args: made.append(args) or b"machine code")
    return tmp_path, made


@pytest.mark.parametrize("damage", [lambda code: b"", lambda code: code[:-1] + b"f"])
def test_a_damaged_object_file_is_replaced(damage, folders):
    folder, made = folders
    assert _library._object_file() == _library._object_file() == b"machine code"
    (file,) = (folder / "a").iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    assert _library._object_file() == b"machine code"
    assert (len(made), file.read_bytes()) == (2, whole)


def test_without_a_folder_to_write_into_it_is_compiled_each_time(folders):
    folder, made = folders
    for blocked, compilations in (("a", 1), ("b", 3)):
        (folder / blocked).touch()
        assert _library._object_file() == _library._object_file() == b"machine code"
        assert len(made) == compilations
        shutil.rmtree(folder / "b", ignore_errors=True)


def test_without_numba_all_products_are_dense(monkeypatch):
    x, w = np.eye(6, 8, dtype=np.float32), np.ones((8, 4), np.float32)
    assert events.available()
    monkeypatch.setitem(sys.modules, "llvmlite", None)
    monkeypatch.setattr(_library, "why_not", _library._tried.__wrapped__)
    assert not events.available()
    assert "[events]" in str(events.available())
    with pytest.warns(UserWarning, match=r"\[events\]"):
        text = jax.jit(events.dot).lower(x, w).compile().as_text()
    assert "brainsurr_product" not in text
    np.testing.assert_array_equal(jax.jit(events.dot)(x, w), x @ w)


def test_a_call_frame_of_another_layout_is_an_error():
    keep, messages, function = [], [], ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)

    @function
    def create_error(given):
        messages.append(ctypes.string_at((ctypes.c_int64 * 4).from_address(given)[2]))
        return 12345

    def address(*words):
        keep.append((ctypes.c_int64 * len(words))(*words))
        return ctypes.addressof(keep[-1])

    handle = function(_library._load(_library._object_file()))
    api, buffers = address(*[0] * 6, ctypes.cast(create_error, ctypes.c_void_p).value), address(*[address(48)] * 2)
    frame = [168, 0, api, 0, 3, 40, 0, 2, 0, buffers, 40, 0, 1, 0, buffers, 48, 0, 1, 0, 0, 0]
    small = {9: address(address(48), address(40)), 14: address(address(40))}
    for place, word in ({0: 128, 5: 48, 10: 48, 15: 40} | small).items():
        assert handle(address(*[word if i == place else right for i, right in enumerate(frame)])) == 12345, place
    assert all(b"layout" in message for message in messages)


# The fields and constants of XLA's C API, with the constants of `_handler` if their names differ, or words of 8 bytes.
FIELDS = """
CallFrame.extension_start CallFrame.api CallFrame.ctx CallFrame.stage CallFrame.args CallFrame.rets CallFrame.attrs
Args.args Rets.rets Attrs.attrs Buffer.data Array.data Api.api_version.major_version=API_VERSION
Api.XLA_FFI_Error_Create=API_ERROR_CREATE Api.XLA_FFI_ThreadPool_Schedule=API_THREAD_POOL_SCHEDULE
Metadata_Extension.extension_base.type=EXTENSION_TYPE Metadata_Extension.metadata=EXTENSION_METADATA
Metadata.api_version.major_version=METADATA_VERSION Error_Create_Args.message=2 Error_Create_Args.errc=3
ThreadPool_Schedule_Args.ctx=2 ThreadPool_Schedule_Args.task=3 ThreadPool_Schedule_Args.data=4
"""
CONSTANTS = """
sizeof(XLA_FFI_Args)=ARGS_BYTES sizeof(XLA_FFI_Rets)=RETS_BYTES sizeof(XLA_FFI_Attrs)=ATTRS_BYTES
sizeof(XLA_FFI_Buffer)=BUFFER_BYTES XLA_FFI_ExecutionStage_EXECUTE=STAGE_EXECUTE
XLA_FFI_Extension_Metadata=EXTENSION_IS_METADATA XLA_FFI_Error_Code_INTERNAL=ERROR_INTERNAL
"""
C = """
#include <stddef.h>
#include <stdio.h>
#include "xla/ffi/api/c_api.h"
int main() { size_t all[] = {%s}; for (int i = 0; i < sizeof(all) / sizeof(size_t); i++) printf("%%zu ", all[i]); }
"""


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")
def test_the_layouts_are_those_of_jaxs_header(tmp_path):
    pairs = [constant.split("=") for constant in CONSTANTS.split()]
    expected = {expression: getattr(_handler, name) for expression, name in pairs}
    for field in FIELDS.split():
        name, _, known = field.partition("=")
        known = known or re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).replace(".", "_").upper()
        words = int(known) if known.isdigit() else getattr(_handler, known)
        expected[f"offsetof(XLA_FFI_{name.replace('.', ', ', 1)})"] = 8 * words
    (tmp_path / "found.c").write_text(C % ", ".join(expected))
    subprocess.run(["cc", "-I", jax.ffi.include_dir(), "found.c", "-o", "found"], cwd=tmp_path, check=True)
    found = map(int, subprocess.check_output(tmp_path / "found").split())
    assert dict(zip(expected, found, strict=True)) == expected


PROCESS = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import numpy as np
from brainsurr.events import _library, _product
_library._folders = lambda: [Path(sys.argv[1])]
_product.CROSSINGS = dict.fromkeys(_product.CROSSINGS, 2.0)
import jax
from brainsurr import events
x, w = np.eye(300, 400, dtype=np.float32), np.arange(1200, dtype=np.float32).reshape(400, 3)
dot = jax.jit(events.dot)
def right(_):
    return "brainsurr_product" in dot.lower(x, w).compile().as_text() and (dot(x, w) == x @ w).all()
with ThreadPoolExecutor(4) as pool:
    assert all(pool.map(right, range(4)))
print("numba" in sys.modules)
"""


@pytest.mark.slow
def test_processes_and_threads_compile_at_once_and_load(tmp_path, environment):
    command = [sys.executable, "-W", "ignore", "-c", PROCESS, tmp_path]
    for _ in range(2):
        started = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        imported_numba = [process.communicate(timeout=120)[0].strip() for process in started]
        assert all(imported_numba)
    assert imported_numba == ["False", "False"]
    assert len(list(tmp_path.iterdir())) == 1
