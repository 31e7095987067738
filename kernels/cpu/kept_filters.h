// The filters that FrozenWeights keeps.
#pragma once
#include <compare>
#include <cstdint>

#include "kernels/frozen_weights.h"

namespace noisette::cpu {

/// Which filters: of which weights, and how they are derived from them.
struct FilterKey {
  const void* weight = nullptr;
  bool turned = false;  // for the data gradient
  int64_t taps = 0, in = 0, out = 0;
  auto operator<=>(const FilterKey&) const = default;
};

struct KeptFilters {
  float* data = nullptr;  // null: nothing is kept
  bool filled = false;    // else the caller fills it
};

/// Room for the `numel` values of these filters, or what is kept of them already.
KeptFilters kept_filters(const FilterKey& key, int64_t numel);

/// Whether kept_filters() would have data.
bool can_keep_filters(const FilterKey& key, int64_t numel);

}  // namespace noisette::cpu
