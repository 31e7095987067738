// The tape: which op made a tensor from which, and how its gradient flows back.
//
// An op computes its output and calls record(). backward() walks the tape in reverse order of
// creation. A backward closure *returns* the gradients of its inputs; only the engine accumulates,
// and it checks what it is given.
#pragma once
#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

#include "framework/core/tensor.h"

namespace noisette {

/// Gradients by input; an undefined tensor where none is needed.
using Grads = std::vector<Tensor>;

/// Where the gradient of a parameter goes: add to `buffer` when `accumulate`, else overwrite it.
struct GradTarget {
  Tensor buffer;
  bool accumulate = false;
};

/// What the engine tells a backward closure about the inputs of its op.
class Needs {
 public:
  explicit Needs(const Node& node) : node_(node) {}

  /// Whether input i wants a gradient.
  bool operator[](std::size_t i) const;

  /// For gradients that are sums over the batch (weights, biases): a buffer of the accumulator
  /// type. For a leaf it is the leaf's own gradient (a slice of the parameter arena), so that the
  /// kernel writes where the optimiser reads. The closure fills it and returns target.buffer.
  /// Undefined when input i wants no gradient.
  GradTarget target(std::size_t i) const;

  /// The gradient that other consumers of input i have left so far, handed over to the closure,
  /// which must include it in what it returns: spares the engine a pass over memory. Undefined when
  /// there is none.
  Tensor take(std::size_t i) const;

 private:
  const Node& node_;
};

/// How the data of an op's output can be made again, bit for bit, from what the op keeps for its
/// own gradient anyway.
using Recipe = std::function<Tensor()>;

using Backward = std::function<Grads(const Tensor& dy, const Needs& needs)>;

/// The place of one tensor on the tape.
struct Node {
  const char* name = "leaf";
  std::string label;  // of a leaf: the parameter's name
  uint64_t sequence = 0;
  std::vector<std::shared_ptr<Node>> inputs;  // null where no gradient is wanted
  Backward backward;                          // empty: not differentiable
  Recipe recipe;                              // empty: consumers keep the data itself
  bool leaf = false;
  bool boundary = false;  // an input of a recomputed piece: the inner sweep stops here
  bool swept = false;     // its gradient has been passed on; saved tensors are gone
  Shape shape;
  DType dtype = DType::f32;
  Device device;
  Tensor grad;           // of a leaf: the gradient; otherwise what has arrived so far in this sweep
  bool written = false;  // of a leaf: grad holds a gradient (not stale memory of the update before)

  Node() = default;
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  ~Node();  // frees long chains without recursion
};

/// Puts `output` on the tape as the result of op `name`, if gradients are on and an input needs
/// one. Accounts for its memory under that name. Without a closure the output is marked not
/// differentiable: reaching it in backward() throws. A closure must capture detached tensors only
/// (a captured output would own itself).
Tensor record(const char* name, Tensor output, std::initializer_list<Tensor> inputs,
              Backward backward = nullptr);
Tensor record(const char* name, Tensor output, const std::vector<Tensor>& inputs,
              Backward backward = nullptr);

/// Gives an output on the tape a recipe, so that the ops that consume it need not keep it. Off the
/// tape: nothing.
void set_recipe(const Tensor& output, Recipe recipe);

/// An input that a backward closure will need: its data, or its recipe where it has one.
class Saved {
 public:
  explicit Saved(const Tensor& x);
  /// The data; made anew at each call where a recipe stands for it.
  Tensor get() const { return recipe_ ? recipe_() : data_; }
  const Shape& shape() const { return shape_; }

 private:
  Recipe recipe_;
  Tensor data_;
  Shape shape_;
};

/// Runs the tape backwards from `output` with cotangent `dy` (default: one, for a scalar). Adds to
/// the gradients of the leaves and frees what the ops had saved. A second sweep over the same tape
/// throws.
void backward(const Tensor& output, const Tensor& dy = {});

/// A leaf over `value` whose gradient is kept in `grad` (the accumulator type of value's dtype; a
/// slice of an arena).
Tensor make_leaf(const Tensor& value, const Tensor& grad, std::string label);
/// Forgets the gradient of a leaf without touching memory: the next one overwrites it.
void reset_grad(const Tensor& leaf);

/// While one lives, ops of this thread put nothing on the tape.
class NoGrad {
 public:
  NoGrad();
  ~NoGrad();
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

 private:
  bool before_;
};
bool grad_enabled();

/// While one lives, every op output and every gradient of this thread is checked; the first value
/// that is not finite throws an Error naming the op and the parameters it used. Reads tensors on
/// the host: for diagnosis only.
class FiniteCheck {
 public:
  FiniteCheck();
  ~FiniteCheck();
  FiniteCheck(const FiniteCheck&) = delete;
  FiniteCheck& operator=(const FiniteCheck&) = delete;
};

/// Activation checkpointing (Chen et al. 2016, arXiv:1604.06174): runs fn(inputs) without keeping
/// what its ops would save, and runs it again when its gradient is wanted. Bit-equal to plain
/// fn(inputs), dropout included, since every draw is keyed. fn must be a pure function of its
/// inputs and of parameters.
Tensor recompute(std::function<Tensor(const std::vector<Tensor>&)> fn,
                 const std::vector<Tensor>& inputs);

}  // namespace noisette
