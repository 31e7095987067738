// From a tensor's dtype and device to a kernel. One place for all ops; also where kernels are timed
// and counted.
#pragma once
#include <array>
#include <stdexcept>
#include <type_traits>

#include "framework/core/profile.h"
#include "framework/core/tensor.h"
#include "kernels/cuda/runtime.h"

namespace noisette {

#ifdef NOISETTE_CUDA
inline constexpr bool kHasCuda = true;
#else
inline constexpr bool kHasCuda = false;
#endif

/// While it lives, the calling thread computes on `device`: asking for the data of a tensor on
/// another one is an Error that names the kernel. Knows the tensors that were asked for, in the
/// order in which the compiler chose to ask.
class Dispatching {
 public:
  Dispatching(Device device, const char* kernel);
  ~Dispatching();
  Dispatching(const Dispatching&) = delete;
  Dispatching& operator=(const Dispatching&) = delete;

  /// Throws the exception that is being handled again: one of the runtime as an Error with the
  /// kernel and the shapes of its tensors, or, where memory ran out, what holds most of it.
  [[noreturn]] void rethrow(const std::runtime_error& e) const;

 private:
  friend void* Tensor::raw() const;
  void note(const Tensor& x);

  struct Seen {  // no Shape, which would take memory for every kernel
    DType dtype;
    std::size_t axes;
    std::array<int64_t, 5> dims;
  };
  Device device_;
  const char* kernel_;
  Dispatching* before_;
  std::array<Seen, 16> seen_;
  std::size_t count_ = 0;
};

/// Runs `on_cpu()` or `on_cuda()`, by device; neither on meta.
template <class Cpu, class Cuda>
void dispatch_kernel(Device device, const char* name, const Cpu& on_cpu, const Cuda& on_cuda) {
  if (device.is_meta()) return;  // shapes and sizes only
  const KernelTimer timer(name);
  Dispatching dispatching(device, name);
  if (device.is_cpu()) return on_cpu();
  check(kHasCuda, "[{}] tensor is on {} but this build has no CUDA", name, device);
  if constexpr (kHasCuda) {
    try {
      cuda::use_device(device.index);
      on_cuda();
    } catch (const std::runtime_error& e) {
      dispatching.rethrow(e);
    }
  }
}

/// Calls f with a floating element type as its template argument.
template <class F>
void with_float(DType dtype, const char* name, const F& f) {
  switch (dtype) {
    case DType::f32:
      return f.template operator()<float>();
    case DType::bf16:
      return f.template operator()<bfloat16>();
    case DType::f64:
      return f.template operator()<double>();
    default:
      fail("[{}] wants f32, bf16 or f64; got {}", name, dtype);
  }
}

/// dispatch_kernel with the element type as a template argument: f32, bf16, or on the CPU f64.
template <class Cpu, class Cuda>
void dispatch_dtype(DType dtype, Device device, const char* name, const Cpu& on_cpu,
                    const Cuda& on_cuda) {
  check(dtype != DType::f64 || device.type != DeviceType::cuda,
        "[{}] f64 exists on the cpu only; got a tensor on {}", name, device);
  with_float(dtype, name, [&]<class T>() {
    dispatch_kernel(
        device, name, [&] { on_cpu.template operator()<T>(); },
        [&] {
          if constexpr (!std::is_same_v<T, double>) on_cuda.template operator()<T>();
        });
  });
}

/// cuda::fn(args...) in a build that has it.
#ifdef NOISETTE_CUDA
#define NOISETTE_CUDA_CALL(fn, ...) ::noisette::cuda::fn(__VA_ARGS__)
#else
#define NOISETTE_CUDA_CALL(fn, ...) static_cast<void>(0)
#endif

/// Calls cpu::fn(args...) or cuda::fn(args...) with T bound to the element type of tensor x. Does
/// nothing on meta.
#define NOISETTE_DISPATCH(x, fn, ...)                                              \
  ::noisette::dispatch_dtype((x).dtype(), (x).device(), #fn,                       \
                             [&]<class T>() { ::noisette::cpu::fn(__VA_ARGS__); }, \
                             [&]<class T>() { NOISETTE_CUDA_CALL(fn, __VA_ARGS__); })

/// The same for a kernel that is not a template over the element type.
#define NOISETTE_KERNEL(device, fn, ...)                                                \
  ::noisette::dispatch_kernel((device), #fn, [&] { ::noisette::cpu::fn(__VA_ARGS__); }, \
                              [&] { NOISETTE_CUDA_CALL(fn, __VA_ARGS__); })

/// A kernel in f64, which exists on the CPU only.
#define NOISETTE_CPU_KERNEL(device, fn, ...)                                                  \
  ::noisette::dispatch_kernel(                                                                \
      (device), #fn, [&] { ::noisette::cpu::fn(__VA_ARGS__); },                               \
      [&] {                                                                                   \
        ::noisette::fail("[{}] f64 exists on the cpu only; got a tensor on {}", #fn, device); \
      })

/// Pointer to an optional tensor's data, nullptr when it is not there.
template <class T>
T* data_or_null(const Tensor& x) {
  return x.defined() ? x.data<T>() : nullptr;
}

}  // namespace noisette
