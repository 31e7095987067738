"""Writes reference.safetensors with the reference implementation (safetensors 0.8.0); see safetensors_test.cpp."""
import ctypes
import pathlib
import struct

from safetensors import TensorSpec, serialize_file

floats = struct.pack("<6f", 0, 1, -2, 3.5, 1e-30, 6)
raw = b"0123456789abcdef"
tensors = {
    "b.weight": ("float32", [2, 3], floats),
    "a.bias": ("float32", [], floats[:4]),
    "steps": ("int64", [2], raw),
    "double": ("float64", [2], raw),
    "complex": ("complex64", [2], raw),
    "unsigned": ("uint64", [2], raw),
    "half": ("float16", [3], raw[:6]),
    "brain": ("bfloat16", [2, 0], b""),
    "flag": ("bool", [1], b"\1"),
    "fp8": ("float8_e4m3fn", [3], raw[:3]),
    "fp8b": ("float8_e5m2", [3], raw[:3]),
    "pixels": ("uint8", [5], raw[:5]),
    "small": ("int8", [2], raw[:2]),
    "u32": ("uint32", [1], raw[:4]),
    "i32": ("int32", [1], raw[:4]),
    "i16": ("int16", [1], raw[:2]),
    "u16": ("uint16", [1], raw[:2]),
}
keep = {name: ctypes.create_string_buffer(data, len(data) + 1) for name, (_, _, data) in tensors.items()}
specs = {
    name: TensorSpec(dtype=dtype, shape=shape, data_ptr=ctypes.addressof(keep[name]), data_len=len(data))
    for name, (dtype, shape, data) in tensors.items()
}
path = pathlib.Path(__file__).parent / "reference.safetensors"
serialize_file(specs, str(path), metadata={"format": "pt"})
