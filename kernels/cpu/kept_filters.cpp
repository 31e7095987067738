#include "kernels/cpu/kept_filters.h"

#include <map>
#include <memory>
#include <new>

namespace noisette::cpu {
namespace {

constexpr std::align_val_t kAlign{64};

struct FreeAligned {
  void operator()(float* p) const { ::operator delete(p, kAlign); }
};

struct Kept {
  int64_t limit = 0, bytes = 0;
  std::map<FilterKey, std::unique_ptr<float, FreeAligned>> filters;
};

thread_local std::unique_ptr<Kept> kept;
thread_local bool passing = false;

}  // namespace

FrozenWeights::FrozenWeights(int64_t limit) : outermost_(kept == nullptr) {
  if (!outermost_) return;
  kept = std::make_unique<Kept>();
  kept->limit = limit;
}

FrozenWeights::~FrozenWeights() {
  if (outermost_) kept.reset();
}

PassingWeights::PassingWeights() : before_(passing) { passing = true; }
PassingWeights::~PassingWeights() { passing = before_; }

bool can_keep_filters(const FilterKey& key, int64_t numel) {
  if (kept == nullptr || passing) return false;
  return kept->filters.contains(key) || kept->bytes + numel * int64_t(sizeof(float)) <= kept->limit;
}

KeptFilters kept_filters(const FilterKey& key, int64_t numel) {
  if (!can_keep_filters(key, numel)) return {};
  const auto [at, added] = kept->filters.try_emplace(key);
  if (!added) return {at->second.get(), true};
  const int64_t bytes = numel * int64_t(sizeof(float));
  at->second.reset(static_cast<float*>(::operator new(std::size_t(bytes), kAlign)));
  kept->bytes += bytes;
  return {at->second.get(), false};
}

}  // namespace noisette::cpu
