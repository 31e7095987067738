#include "framework/autograd/autograd.h"

#include <algorithm>
#include <queue>
#include <unordered_set>

#include "framework/core/dispatch.h"
#include "kernels/accumulate.h"
#include "kernels/elementwise.h"

namespace noisette {
namespace {

thread_local bool grad_mode = true;
thread_local int finite_checks = 0;
thread_local uint64_t next_sequence = 1;

bool is_finite(const Tensor& x) {
  if (!is_floating(x.dtype()) || x.dtype() == DType::f16) return true;
  if (x.device().is_meta()) return true;
  const Tensor flag = empty({}, DType::f32, x.device());
  NOISETTE_DISPATCH(x, finite_flag, x.data<T>(), x.numel(), false, flag.data<float>());
  return flag.item() != 0;
}

std::string parameters_of(const std::vector<std::shared_ptr<Node>>& inputs) {
  std::string names;
  for (const auto& in : inputs)
    if (in && !in->label.empty()) names += (names.empty() ? " using " : ", ") + in->label;
  return names;
}

/// to (accumulate ? +=: =) from, where the element types may differ as bf16 and f32 do.
void accumulate_into(const Tensor& to, const Tensor& from, bool add) {
  const int64_t n = to.numel();
  const Device device = to.device();
  if (to.dtype() == DType::f64) {
    NOISETTE_CPU_KERNEL(device, accumulate, to.data<double>(), from.data<double>(), n, add);
  } else if (to.dtype() == DType::f32 && from.dtype() == DType::f32) {
    NOISETTE_KERNEL(device, accumulate, to.data<float>(), from.data<float>(), n, add);
  } else if (to.dtype() == DType::f32) {
    NOISETTE_KERNEL(device, accumulate, to.data<float>(), from.data<bfloat16>(), n, add);
  } else if (from.dtype() == DType::f32) {
    NOISETTE_KERNEL(device, accumulate, to.data<bfloat16>(), from.data<float>(), n, add);
  } else {
    NOISETTE_KERNEL(device, accumulate, to.data<bfloat16>(), from.data<bfloat16>(), n, add);
  }
}

void check_gradient(const Node& op, std::size_t i, const Node& input, const Tensor& g) {
  check(g.shape() == input.shape && g.device() == input.device &&
            (g.dtype() == input.dtype || g.dtype() == accumulator_of(input.dtype)),
        "[{}] gradient of input {} must be {} {} on {}; got {} {} on {}", op.name, i, input.dtype,
        input.shape, input.device, g.dtype(), g.shape(), g.device());
  if (finite_checks > 0)
    check(is_finite(g), "[{}] the gradient of input {}{}{} is not finite", op.name, i,
          input.label.empty() ? "" : " = ", input.label);
}

void accept_leaf(Node& leaf, const Tensor& g) {
  if (!leaf.grad.defined()) leaf.grad = empty(leaf.shape, accumulator_of(leaf.dtype), leaf.device);
  if (!g.same_data(leaf.grad)) accumulate_into(leaf.grad, g, leaf.written);
  leaf.written = true;
}

void accept(Node& input, Tensor g) {
  if (input.leaf) return accept_leaf(input, g);
  if (g.dtype() != input.dtype) {  // a sum kept in f32 for a bf16 tensor
    Tensor cast = empty(input.shape, input.dtype, input.device);
    accumulate_into(cast, g, false);
    g = std::move(cast);
  }
  if (!input.grad.defined()) {
    input.grad = std::move(g);
    return;
  }
  // The first gradient may be shared with another input (add returns dy twice): write over it only
  // when it is ours.
  Tensor sum = input.grad.sole_owner() ? input.grad : empty_like(g);
  NOISETTE_DISPATCH(g, add_into, input.grad.data<T>(), g.data<T>(), sum.data<T>(), g.numel());
  input.grad = std::move(sum);
}

void step_back(Node& node) {
  check(bool(node.backward), "[{}] has no gradient, but backward() reached it", node.name);
  const Tensor dy = std::exchange(node.grad, Tensor());
  Grads grads = node.backward(dy, Needs(node));
  check(grads.size() == node.inputs.size(), "[{}] returned {} gradients for {} inputs", node.name,
        grads.size(), node.inputs.size());
  for (std::size_t i = 0; i < grads.size(); ++i) {
    if (!node.inputs[i] || !grads[i].defined()) {
      check(!node.inputs[i], "[{}] returned no gradient for input {}, which needs one", node.name,
            i);
      continue;
    }
    check_gradient(node, i, *node.inputs[i], grads[i]);
    grads[i].storage()->tag(memory_tag("gradient"));
    accept(*node.inputs[i], std::move(grads[i]));
  }
}

/// The tape on, whatever the caller's mode.
struct WithGrad {
  bool before = std::exchange(grad_mode, true);
  ~WithGrad() { grad_mode = before; }
};

struct Later {
  bool operator()(const std::shared_ptr<Node>& a, const std::shared_ptr<Node>& b) const {
    return a->sequence < b->sequence;
  }
};

}  // namespace

Node::~Node() {
  std::vector<std::shared_ptr<Node>> chain = std::move(inputs);
  backward = nullptr;
  recipe = nullptr;
  while (!chain.empty()) {
    std::shared_ptr<Node> n = std::move(chain.back());
    chain.pop_back();
    if (!n || n.use_count() > 1) continue;
    for (auto& in : n->inputs) chain.push_back(std::move(in));
    n->inputs.clear();
  }
}

bool Needs::operator[](std::size_t i) const { return node_.inputs.at(i) != nullptr; }

GradTarget Needs::target(std::size_t i) const {
  if (!node_.inputs.at(i)) return {};
  Node& input = *node_.inputs[i];
  const DType dtype = accumulator_of(input.dtype);
  if (!input.leaf) return {empty(input.shape, dtype, input.device), false};
  if (!input.grad.defined()) input.grad = empty(input.shape, dtype, input.device);
  return {input.grad, input.written};
}

Tensor Needs::take(std::size_t i) const {
  if (!node_.inputs.at(i) || node_.inputs[i]->leaf) return {};
  return std::exchange(node_.inputs[i]->grad, Tensor());
}

Tensor record(const char* name, Tensor output, const std::vector<Tensor>& inputs,
              Backward backward) {
  output.storage()->tag(memory_tag(name));
  std::vector<std::shared_ptr<Node>> nodes;
  bool wanted = false;
  for (const Tensor& in : inputs) {
    nodes.push_back(in.defined() ? in.node() : nullptr);
    wanted = wanted || nodes.back();
  }
  if (finite_checks > 0)
    check(is_finite(output), "[{}] the output {}{} is not finite", name, output.shape(),
          parameters_of(nodes));
  output.set_node(nullptr);
  if (!grad_mode || !wanted) return output;
  auto node = std::make_shared<Node>();
  node->name = name;
  node->sequence = next_sequence++;
  node->inputs = std::move(nodes);
  node->backward = std::move(backward);
  node->shape = output.shape();
  node->dtype = output.dtype();
  node->device = output.device();
  output.set_node(std::move(node));
  return output;
}

Tensor record(const char* name, Tensor output, std::initializer_list<Tensor> inputs,
              Backward backward) {
  return record(name, std::move(output), std::vector<Tensor>(inputs), std::move(backward));
}

void set_recipe(const Tensor& output, Recipe recipe) {
  if (output.node()) output.node()->recipe = std::move(recipe);
}

Saved::Saved(const Tensor& x) : shape_(x.shape()) {
  if (x.node() && x.node()->recipe)
    recipe_ = x.node()->recipe;
  else
    data_ = x.detach();
}

void backward(const Tensor& output, const Tensor& dy) {
  check(output.defined() && output.node() != nullptr,
        "[backward] the output depends on nothing that needs a gradient");
  Node& root = *output.node();
  check(dy.defined() || root.shape.numel() == 1,
        "[backward] an output of shape {} needs a cotangent of that shape", root.shape);
  const NoGrad no_grad;
  const Tensor seed = dy.defined() ? dy.detach() : full(root.shape, 1.0, root.dtype, root.device);
  check(seed.shape() == root.shape && seed.dtype() == root.dtype && seed.device() == root.device,
        "[backward] the cotangent must be {} {} on {}; got {} {} on {}", root.dtype, root.shape,
        root.device, seed.dtype(), seed.shape(), seed.device());
  if (root.leaf) return accept_leaf(root, seed);

  // An op is always younger than its inputs, so the youngest node that has been reached is
  // complete.
  std::priority_queue<std::shared_ptr<Node>, std::vector<std::shared_ptr<Node>>, Later> ready;
  std::unordered_set<Node*> reached;
  check(!root.swept,
        "[backward] the tape of this output has been used and freed; run the forward again");
  root.grad = seed;
  ready.push(output.node());
  while (!ready.empty()) {
    const std::shared_ptr<Node> node = ready.top();
    ready.pop();
    check(!node->swept, "[{}] its saved tensors have been freed by an earlier backward()",
          node->name);
    step_back(*node);
    for (const auto& in : node->inputs)
      if (in && !in->leaf && !in->boundary && reached.insert(in.get()).second) ready.push(in);
    node->backward = nullptr;
    node->recipe = nullptr;
    node->inputs.clear();
    node->swept = true;
  }
}

Tensor make_leaf(const Tensor& value, const Tensor& grad, std::string label) {
  check(is_floating(value.dtype()), "[make_leaf] only floating tensors have gradients; got {}",
        value.dtype());
  if (grad.defined())
    check(grad.shape() == value.shape() && grad.dtype() == accumulator_of(value.dtype()) &&
              grad.device() == value.device(),
          "[make_leaf] gradient of {} {} must be {} {}; got {} {}", value.dtype(), value.shape(),
          accumulator_of(value.dtype()), value.shape(), grad.dtype(), grad.shape());
  auto node = std::make_shared<Node>();
  node->label = std::move(label);
  node->sequence = next_sequence++;
  node->leaf = true;
  node->shape = value.shape();
  node->dtype = value.dtype();
  node->device = value.device();
  node->grad = grad;
  Tensor leaf = value.detach();
  leaf.set_node(std::move(node));
  return leaf;
}

void reset_grad(const Tensor& leaf) {
  check(leaf.node() && leaf.node()->leaf, "[reset_grad] tensor {} is not a leaf", leaf.shape());
  leaf.node()->written = false;
}

Tensor& Tensor::requires_grad() {
  if (!node_) *this = make_leaf(*this, {}, "");
  check(node_->leaf, "[requires_grad] tensor {} is the result of {}", shape_, node_->name);
  return *this;
}

Tensor Tensor::grad() const {
  check(node_ && node_->leaf, "[grad] tensor {} is not a leaf; only leaves keep their gradient",
        shape_);
  return node_->written ? node_->grad : Tensor();
}

NoGrad::NoGrad() : before_(std::exchange(grad_mode, false)) {}
NoGrad::~NoGrad() { grad_mode = before_; }
bool grad_enabled() { return grad_mode; }

FiniteCheck::FiniteCheck() { ++finite_checks; }
FiniteCheck::~FiniteCheck() { --finite_checks; }

namespace {

/// `x` as the input of a piece of tape of its own: gradients that reach it stay there.
Tensor boundary(const Tensor& x, Tensor pending) {
  auto node = std::make_shared<Node>();
  node->name = "recompute input";
  node->sequence = next_sequence++;
  node->boundary = true;
  node->shape = x.shape();
  node->dtype = x.dtype();
  node->device = x.device();
  node->grad = std::move(pending);
  Tensor y = x.detach();
  y.set_node(std::move(node));
  return y;
}

/// Runs fn again with the tape on, then backwards. What other consumers have left for an input goes
/// in first, so that sums are formed in the order they would have without recomputation.
Grads run_again(const std::function<Tensor(const std::vector<Tensor>&)>& fn,
                const std::vector<Tensor>& plain, const Tensor& dy, const Needs& needs) {
  std::vector<Tensor> inputs = plain;
  for (std::size_t i = 0; i < inputs.size(); ++i)
    if (needs[i]) inputs[i] = boundary(inputs[i], needs.take(i));
  Tensor out;
  {
    const WithGrad with_grad;
    out = fn(inputs);
  }
  if (out.needs_grad()) backward(out, dy);
  Grads grads(inputs.size() + 1);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!needs[i]) continue;
    grads[i] = std::move(inputs[i].node()->grad);
    if (!grads[i].defined())
      grads[i] = zeros(plain[i].shape(), plain[i].dtype(), plain[i].device());
  }
  grads.back() = empty({0}, DType::f32, dy.device());
  return grads;
}

}  // namespace

Tensor recompute(std::function<Tensor(const std::vector<Tensor>&)> fn,
                 const std::vector<Tensor>& inputs) {
  if (!grad_mode) return fn(inputs);
  std::vector<Tensor> plain;
  for (const Tensor& in : inputs) plain.push_back(in.detach());
  Tensor y;
  {
    const NoGrad no_grad;
    y = fn(plain);
  }
  // A leaf of its own makes the output wanted even when only parameters inside fn need gradients.
  std::vector<Tensor> all = inputs;
  all.push_back(make_leaf(empty({0}, DType::f32, y.device()), {}, ""));
  return record("recompute", y, all,
                [fn = std::move(fn), plain](const Tensor& dy, const Needs& needs) {
                  return run_again(fn, plain, dy, needs);
                });
}

}  // namespace noisette
