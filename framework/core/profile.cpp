#include "framework/core/profile.h"

#include <chrono>

namespace noisette {
namespace {
thread_local Profile* active = nullptr;

void take_all(ScratchStack& scratch, std::span<const int64_t> pieces) {
  const ScratchStack::Place top = scratch.top();
  for (const int64_t bytes : pieces)
    if (bytes > 0) scratch.take(std::size_t(bytes), [](std::size_t) {});
  scratch.back_to(top);
}

int64_t now() { return std::chrono::steady_clock::now().time_since_epoch().count(); }
}  // namespace

Profile::Profile() { active = this; }
Profile::~Profile() { active = nullptr; }

double Profile::flops() const {
  double sum = 0;
  for (const auto& [name, count] : kernels_) sum += count.flops;
  return sum;
}

double Profile::seconds() const {
  double sum = 0;
  for (const auto& [name, count] : kernels_) sum += count.seconds;
  return sum;
}

KernelTimer::KernelTimer(const char* name) : name_(name), profile_(active) {
  if (profile_) start_ = now();
}

KernelTimer::~KernelTimer() {
  if (!profile_) return;
  KernelCount& count = profile_->kernels_[name_];
  count.calls += 1;
  count.seconds += double(now() - start_) * 1e-9;
}

void count_flops(const char* kernel, double flops) {
  if (active) active->kernels_[kernel].flops += flops;
}

bool is_profiled() { return active != nullptr; }

void add_scratch(std::span<const int64_t> pieces) {
  if (!active) return;
  take_all(active->scratch_, pieces);
  take_all(active->with_libraries_, pieces);
}

void add_scratch_of_library(std::span<const int64_t> pieces) {
  if (active) take_all(active->with_libraries_, pieces);
}

}  // namespace noisette
