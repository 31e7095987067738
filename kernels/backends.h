// One declaration of a kernel for every backend.
#pragma once

/// Declares what is inside in cpu:: and in cuda::; kernels/cpu/*.cpp and kernels/cuda/*.cu define
/// it. On CUDA pointers are of the device, work goes to the calling thread's stream
/// (kernels/cuda/runtime.h), and T is float or bfloat16: f64, the reference, exists on the CPU.
#define NOISETTE_BACKENDS(...) \
  namespace cpu {              \
  __VA_ARGS__                  \
  }                            \
  namespace cuda {             \
  __VA_ARGS__                  \
  }
