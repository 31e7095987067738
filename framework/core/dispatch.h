// From a tensor's dtype and device to a kernel. One place for all ops; also where kernels are timed
// and counted.
#pragma once
#include "framework/core/profile.h"
#include "framework/core/tensor.h"

namespace noisette {

template <class F>
void dispatch_kernel(Device device, const char* name, F&& run) {
  if (device.is_meta()) return;  // shapes and sizes only
  check(device.is_cpu(), "[{}] tensor is on {} but this build has no CUDA", name, device);
  const KernelTimer timer(name);
  run();
}

template <class F>
void dispatch_dtype(DType dtype, Device device, const char* name, F&& run) {
  dispatch_kernel(device, name, [&] {
    switch (dtype) {
      case DType::f32:
        return run.template operator()<float>();
      case DType::bf16:
        return run.template operator()<bfloat16>();
      case DType::f64:
        return run.template operator()<double>();
      default:
        fail("[{}] wants f32, bf16 or f64; got {}", name, dtype);
    }
  });
}

/// Calls cpu::fn(args...) with T bound to the element type of tensor x. Does nothing on meta.
#define NOISETTE_DISPATCH(x, fn, ...)                        \
  ::noisette::dispatch_dtype((x).dtype(), (x).device(), #fn, \
                             [&]<class T>() { ::noisette::cpu::fn(__VA_ARGS__); })

/// The same for a kernel that is not a template over the element type.
#define NOISETTE_KERNEL(device, fn, ...) \
  ::noisette::dispatch_kernel((device), #fn, [&] { ::noisette::cpu::fn(__VA_ARGS__); })

/// Pointer to an optional tensor's data, nullptr when it is not there.
template <class T>
T* data_or_null(const Tensor& x) {
  return x.defined() ? x.data<T>() : nullptr;
}

}  // namespace noisette
