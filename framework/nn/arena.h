// ParameterArena: the memory of one trainable set. Master weights, gradients, Adam moments, the
// running average and the bf16 compute copy are flat buffers of one layout; a Parameter is a named
// view into them. So the optimiser is one pass over one buffer, a checkpoint is a few large writes,
// and an all-reduce works on ranges.
//
// Layout: matrices (two axes and more) first, then vectors, each in order of registration and
// starting on a multiple of 16 elements; the gaps hold zeros for ever. Only matrices have a compute
// copy: vectors are used in master precision.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "framework/nn/module.h"

namespace noisette {

struct ArenaOptions {
  Device device = kCpu;
  DType dtype = DType::f32;  // of activations: f32, bf16, or f64 for checks on the CPU
  bool trainable = true;     // gradients and moments
  bool ema = false;          // running average of the weights
};

class ParameterArena {
 public:
  /// Gives every parameter of `module` memory and names. Values are undefined until initialize() or
  /// a load.
  ParameterArena(Module& module, const ArenaOptions& options);
  ParameterArena(const ParameterArena&) = delete;
  ParameterArena& operator=(const ParameterArena&) = delete;

  /// Where one named slot lies in the flat buffers.
  struct Entry {
    std::string name;
    Shape shape;
    int64_t offset = 0;
    Init init;
  };
  const std::vector<Entry>& entries() const { return entries_; }
  const Entry* find(std::string_view name) const;
  const ArenaOptions& options() const { return options_; }

  int64_t size() const { return size_; }             // elements of a flat buffer, gaps included
  int64_t matrix_size() const { return matrices_; }  // of which matrices (a prefix)

  const Tensor& master() const { return master_; }    // [size] f32 (f64)
  const Tensor& grad() const { return grad_; }        // [size] or undefined
  const Tensor& m() const { return m_; }              // Adam's first moment
  const Tensor& v() const { return v_; }              // Adam's second moment
  const Tensor& ema() const { return ema_; }          // running average
  const Tensor& compute() const { return compute_; }  // [matrix_size] bf16, or undefined
  /// The slice of a flat buffer that belongs to an entry, in the entry's shape.
  static Tensor view(const Tensor& flat, const Entry& entry);

  /// Draws every parameter anew from (seed, name); the average starts as a copy, the moments at
  /// zero.
  void initialize(uint64_t seed);

  enum class Weights { master, ema };
  /// Lets the parameters show the master weights or their average, refreshing the compute copy.
  void use(Weights weights);
  Weights in_use() const { return weights_; }

  /// Before the first backward of an update: gradients are to be overwritten, not added to.
  void reset_grads();
  /// After the last backward of an update: zeroes the gradient of what no backward reached, and
  /// names it.
  std::vector<std::string> finish_grads();

 private:
  struct Bound {
    Parameter* parameter;
    std::string name;
    int64_t offset;
  };
  void bind();

  ArenaOptions options_;
  std::vector<Entry> entries_;
  std::vector<Bound> bound_;
  int64_t size_ = 0, matrices_ = 0;
  Tensor master_, grad_, m_, v_, ema_, compute_;
  Weights weights_ = Weights::master;
};

}  // namespace noisette
