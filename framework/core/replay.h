// Work on tensors that is done again and again in one shape: on CUDA its kernels are recorded once
// and run again with one call, so that the host does not hold the device up.
//
// Recorded kernels keep the addresses of their tensors. So the work's own tensors come from a pool
// of memory that nobody else uses between runs, and inputs are copied to where they were.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "framework/core/tensor.h"

namespace noisette {

/// While it lives, tensors that the calling thread makes on `device` come from a pool of their own.
/// The pool is given up with the Pool object, to the calling thread's at that moment; what still
/// lives of it when that is freed.
class MemoryPool {
 public:
  explicit MemoryPool(Device device);
  ~MemoryPool();
  MemoryPool(const MemoryPool&) = delete;
  MemoryPool& operator=(const MemoryPool&) = delete;

  class Use {
   public:
    explicit Use(const MemoryPool& pool);
    ~Use();
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    Device device_;
    int before_;
  };

 private:
  Device device_;
  int id_;
};

/// A function of tensors. Its results are valid until the next call. The work must do the same
/// kernels for inputs of the same shapes, and give only tensors as results.
class Replay {
 public:
  using Work = std::function<std::vector<Tensor>(const std::vector<Tensor>&)>;
  /// `on`: off, the work is done anew each time, as it is on the CPU.
  Replay(Work work, bool on);
  ~Replay();
  Replay(const Replay&) = delete;
  Replay& operator=(const Replay&) = delete;

  /// The first two calls with inputs of some shapes, dtypes and device do the work, so that memory
  /// and what is made once is there; the third records, and from then on it is replayed, until the
  /// inputs change their shapes. Undefined inputs are handed on. On meta, where there is nothing to
  /// record, memory is taken as on a card.
  std::vector<Tensor> operator()(const std::vector<Tensor>& inputs);

  struct State {
    enum class Kind { off, warming, recorded, failed } kind = Kind::off;
    int64_t kernels = 0, copies = 0;  // of the recording
    std::string why;                  // failed: what could not be recorded
  };
  const State& state() const { return state_; }

 private:
  struct Recording;
  bool same_inputs(const std::vector<Tensor>& inputs) const;
  void record(const std::vector<Tensor>& inputs);

  Work work_;
  bool on_;
  int runs_ = 0;
  std::vector<Tensor> like_;  // inputs of the shapes that count
  std::unique_ptr<Recording> recording_;
  State state_;
};

}  // namespace noisette
