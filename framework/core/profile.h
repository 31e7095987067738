// Time, calls and floating-point operations by kernel. Off unless a Profile is alive.
#pragma once
#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "kernels/scratch_stack.h"

namespace noisette {

struct KernelCount {
  int64_t calls = 0;
  double seconds = 0;
  double flops = 0;  // multiply and add count as two
};

/// Collects while it lives; one at a time. Kernels run by the thread that made it.
class Profile {
 public:
  Profile();
  ~Profile();
  Profile(const Profile&) = delete;
  Profile& operator=(const Profile&) = delete;

  const std::map<std::string, KernelCount>& kernels() const { return kernels_; }
  double flops() const;
  double seconds() const;
  /// Temporary memory that the CUDA backend would hold for what ran since this Profile was made.
  int64_t scratch_bytes() const { return int64_t(scratch_.bytes()); }
  /// The same at most where libraries do some of it (kernels/cuda/providers), without their
  /// workspace.
  int64_t scratch_with_libraries() const { return int64_t(with_libraries_.bytes()); }
  void clear() { kernels_.clear(); }

 private:
  friend class KernelTimer;
  friend void count_flops(const char*, double);
  friend void add_scratch(std::span<const int64_t>);
  friend void add_scratch_of_library(std::span<const int64_t>);
  std::map<std::string, KernelCount> kernels_;
  ScratchStack scratch_, with_libraries_;
};

/// Times one kernel call.
class KernelTimer {
 public:
  explicit KernelTimer(const char* name);
  ~KernelTimer();
  KernelTimer(const KernelTimer&) = delete;
  KernelTimer& operator=(const KernelTimer&) = delete;

 private:
  const char* name_;
  int64_t start_ = 0;
  Profile* profile_;
};

/// Ops of convolutions, products and attention say here what they compute, on meta too.
void count_flops(const char* kernel, double flops);

/// The same of temporary memory: pieces of kernels/cuda/scratch_need.h, and those of a library that
/// may do the same.
bool is_profiled();
void add_scratch(std::span<const int64_t> pieces);
void add_scratch_of_library(std::span<const int64_t> pieces);
template <class F>
void count_scratch(const F& pieces) {
  if (is_profiled()) add_scratch(pieces());
}
template <class F, class G>
void count_scratch(const F& pieces, const G& of_library) {
  count_scratch(pieces);
  if (is_profiled()) add_scratch_of_library(of_library());
}

}  // namespace noisette
