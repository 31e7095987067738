// Functions that run on the host and on a device.
#pragma once

/// In front of a function: nvcc compiles it for both.
#ifdef __CUDACC__
#define NOISETTE_BOTH __host__ __device__
#else
#define NOISETTE_BOTH
#endif
