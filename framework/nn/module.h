// Module: a tree of layers with named parameters. Children are typed members of their parent,
// registered once by name; the dotted path of a parameter is its key in files (diffusers' layout).
#pragma once
#include <array>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "framework/nn/parameter.h"

namespace noisette {

/// A parameter, or a range of its rows, under the name files know it by. Projections that are used
/// together (to_q, to_k, to_v) are one Parameter with three slots.
struct Slot {
  std::string name;
  Parameter* parameter = nullptr;
  int64_t begin = 0, end = 0;  // rows of the first axis

  Shape shape() const;
};

/// What a training step computes twice instead of keeping it. The result is the same, bit for bit.
enum class Recompute {
  none,
  norms,   // the outputs of normalisation, SiLU and dropout, from the input of the normalisation,
           // and that where it was put together from others
  blocks,  // everything inside a block, from the block's inputs
};
inline constexpr std::array<std::string_view, 3> kRecomputeNames = {"none", "norms", "blocks"};
constexpr std::span<const std::string_view> enum_names(Recompute) { return kRecomputeNames; }

/// What a forward pass has to know beside its inputs.
struct ForwardContext {
  bool training = false;     // dropout is active
  uint64_t seed = 0;         // of the dropout's draws
  Tensor sample_index = {};  // [N] i64: key of each sample's draws, as kernels/philox.h makes it
  Recompute recompute = Recompute::none;
};

class Module {
 public:
  Module() = default;
  virtual ~Module() = default;
  Module(const Module&) = delete;  // registered pointers stay valid
  Module& operator=(const Module&) = delete;

  /// Every parameter in order of registration, with dotted names. The one walk behind
  /// initialisation, files, arenas and reports.
  std::vector<Slot> slots() const;
  int64_t parameter_count() const;

  /// Tells every module its dotted path; called by the arena.
  void set_paths(const std::string& prefix = "");
  const std::string& path() const { return path_; }
  /// Calls f for this module and all below it, parents first.
  void each_module(const std::function<void(Module&)>& f);

 protected:
  void add(std::string name, Module& child);
  void add(std::string name, Parameter& parameter);
  /// One parameter whose rows belong, in equal shares, to several names.
  void add(std::vector<std::string> names, Parameter& parameter);

 private:
  void collect(const std::string& prefix, std::vector<Slot>& out) const;

  struct Child {
    std::string name;
    Module* module = nullptr;
    Parameter* parameter = nullptr;
    std::vector<std::string> names;
  };
  std::vector<Child> children_;
  std::string path_;
};

/// A list of like children, named by their number: `resnets.0`, `resnets.1`.
template <class M>
class ModuleList final : public Module {
 public:
  template <class... A>
  M& emplace(A&&... args) {
    items_.push_back(std::make_unique<M>(std::forward<A>(args)...));
    add(std::to_string(items_.size() - 1), *items_.back());
    return *items_.back();
  }
  std::size_t size() const { return items_.size(); }
  bool empty() const { return items_.empty(); }
  const M& operator[](std::size_t i) const { return *items_.at(i); }

 private:
  std::vector<std::unique_ptr<M>> items_;
};

}  // namespace noisette
