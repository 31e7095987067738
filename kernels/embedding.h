// Table look-up and sinusoidal embeddings, contract.
#pragma once
#include <cstdint>

#include "kernels/backends.h"
#include "kernels/bfloat16.h"

namespace noisette {

/// Conventions of a sinusoidal embedding; the defaults are Ho et al. 2020 (sine first, / (half -
/// 1)).
struct TimestepOptions {
  bool flip_sin_to_cos = false;  // cosine block first
  double freq_shift = 1;         // frequencies exp(-ln(max_period) * i / (half - freq_shift))
  double max_period = 10000;
};

NOISETTE_BACKENDS(  // clang-format off

/// y[n] = table[index[n]]; an index outside [0, rows) gives a row of NaN (and no gradient).
template <class T>
void embedding_forward(const T* table, const int64_t* index, T* y, int64_t count, int64_t rows,
                       int64_t dim);

/// dtable[index[n]] += dy[n], in order of n. Unless `accumulate`, dtable [rows, dim] is zeroed
/// first.
template <class T>
void embedding_backward(const T* dy, const int64_t* index, acc_t<T>* dtable, int64_t count,
                        int64_t rows, int64_t dim, bool accumulate);

/// y[n] = (sin(t w_i), cos(t w_i)) for the half = dim / 2 frequencies w_i; an odd dim ends with 0.
/// Computed in double, then rounded. t: float, double, int64_t or int32_t.
template <class T, class Time>
void timestep_embedding(const Time* t, T* y, int64_t count, int64_t dim,
                        const TimestepOptions& options);

)  // clang-format on
}  // namespace noisette
