// Keyed random numbers and what is made of them, contract. Every draw is a pure function of (key,
// index[n], element): element e of item n is word e % 4 of Philox block e / 4 of index[n], whatever
// the batch, the thread or the dtype.
#pragma once
#include <cstdint>

#include "kernels/backends.h"
#include "kernels/bfloat16.h"
#include "kernels/philox.h"

namespace noisette {

NOISETTE_BACKENDS(  // clang-format off

/// y[n,e]: standard normal numbers, computed in f32, then rounded to T. Words 2k and 2k+1 of a
/// block give r cos(a) and r sin(a), r = sqrt(-2 ln u), a = 2 pi v (Box & Muller 1958).
template <class T>
void fill_normal(T* y, const int64_t* index, int64_t batch, int64_t per_item, const RngKey& key);

/// y[n,e]: uniform in [0, 1), 24 bits, then rounded to T (bf16 may round up to 1).
template <class T>
void fill_uniform(T* y, const int64_t* index, int64_t batch, int64_t per_item, const RngKey& key);

/// y[n]: uniform integer in [0, bound) from word 0 of block 0 of index[n]; bound < 2^32.
void fill_integers(int64_t* y, const int64_t* index, int64_t batch, int64_t bound,
                   const RngKey& key);

/// y[n] = the uniform draw of index[n] is below p ? replacement : x[n]
void replace_at_random(const int64_t* x, int64_t* y, const int64_t* index, int64_t batch,
                       int64_t replacement, double p, const RngKey& key);

/// y[n,e] = uniform[n,e] >= p ? x[n,e] / (1 - p) : 0. Its own gradient: the mask is drawn again,
/// never stored.
template <class T>
void dropout(const T* x, T* y, const int64_t* index, int64_t batch, int64_t per_item, double p,
             const RngKey& key);

)  // clang-format on

}  // namespace noisette
