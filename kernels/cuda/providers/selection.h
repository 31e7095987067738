// Who does a Work: our kernel, or a library that gives the same result in less time.
//
// A new Work is tried once, on random numbers in memory of its own: our kernel and each plan of
// each provider (provider.h) compute it, a plan whose result differs from ours beyond a bound is
// refused with a warning, the rest are timed, and one that is faster by a margin is taken. The
// numbers are not the caller's: weights that begin at zero would agree with anything. And the
// caller's tensors are written once, by what was chosen, so that it makes no difference whether
// that was known before.
#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "kernels/cuda/providers/card.h"
#include "kernels/cuda/providers/choice.h"
#include "kernels/cuda/providers/provider.h"

namespace noisette::cuda::providers {

/// What a selection tells and asks of its owner.
struct Owner {
  std::function<void(const std::string&)> warn;
  Choices known;                                                // of earlier processes
  std::function<void(const std::string&, const Choice&)> keep;  // each new one, with its key
};

class Selection {
 public:
  using Kernel = std::function<void(const Operands&)>;

  Selection(std::vector<std::unique_ptr<Provider>> providers, std::unique_ptr<Card> card,
            Owner owner);

  /// Does the work, by `ours` or by what was found to be better. Ours without a question: small
  /// works, which launching bounds, tensors that do not start on sixteen bytes, and another device.
  /// What is new while a graph is recorded is ours too, and stays unknown.
  void run(const Work& work, const Operands& operands, const Kernel& ours);

  const Choices& choices() const { return owner_.known; }

 private:
  struct Entry {
    std::unique_ptr<Plan> plan;  // null: our kernel
    std::string name;
  };
  Entry* find(const Work& work, const Operands& operands, const Kernel& ours);
  Entry open(const Work& work, const std::string& key, const Choice& choice);
  Entry measure(const Work& work, const std::string& key, const Operands& operands,
                const Kernel& ours);
  std::vector<Entry> plans_of(Provider& provider, const Work& work, const std::string& key);
  void refuse(const std::string& provider, const std::string& key, const std::string& why);

  std::mutex mutex_;
  std::vector<std::unique_ptr<Provider>> providers_;
  std::unique_ptr<Card> card_;
  Owner owner_;
  std::map<std::string, Entry> entries_;  // by Work::key()
};

}  // namespace noisette::cuda::providers
