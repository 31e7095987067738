#include "kernels/cuda/providers/selection.h"

#include <cstdint>
#include <cstdio>
#include <stdexcept>
#include <utility>

#include "kernels/cuda/providers/trial.h"
#include "kernels/cuda/scratch_need.h"

namespace noisette::cuda::providers {
namespace {

/// A plan is taken that is faster by this factor.
constexpr double kMargin = 1.05;

bool aligned(const Operands& operands) {
  std::uintptr_t bits = 0;
  for (const void* p : operands.in) bits |= reinterpret_cast<std::uintptr_t>(p);
  for (const void* p : operands.out) bits |= reinterpret_cast<std::uintptr_t>(p);
  return bits % 16 == 0;
}

/// What is wrong with results; empty: nothing.
std::string fault_of(const Work& work, const std::vector<std::vector<float>>& got,
                     const std::vector<std::vector<float>>& want) {
  const std::vector<View> views = work.results();
  for (std::size_t i = 0; i < want.size(); ++i) {
    const double d = distance(got[i], want[i]), most = bound(work, views[i]);
    if (d <= most) continue;
    char text[96];
    std::snprintf(text, sizeof text, "its result %zu is %.2g away from ours, and %.2g is the bound",
                  i, d, most);
    return text;
  }
  return "";
}

}  // namespace

Selection::Selection(std::vector<std::unique_ptr<Provider>> providers, std::unique_ptr<Card> card,
                     Owner owner)
    : providers_(std::move(providers)), card_(std::move(card)), owner_(std::move(owner)) {}

void Selection::run(const Work& work, const Operands& operands, const Kernel& ours) {
  if (work.flops() < kWorthALibrary || !aligned(operands) || !card_->current())
    return ours(operands);
  const std::lock_guard lock(mutex_);
  Entry* const entry = find(work, operands, ours);
  if (entry == nullptr || entry->plan == nullptr) return ours(operands);
  try {
    return entry->plan->run(operands);
  } catch (const std::exception& e) {
    refuse(entry->name, work.key(), e.what());
    entry->plan = nullptr;
  }
  ours(operands);
}

/// Null: not known, and not the moment to find out.
Selection::Entry* Selection::find(const Work& work, const Operands& operands, const Kernel& ours) {
  const std::string key = work.key();
  if (const auto entry = entries_.find(key); entry != entries_.end()) return &entry->second;
  if (card_->recording()) return nullptr;
  const auto known = owner_.known.find(key);
  Entry entry = known != owner_.known.end() ? open(work, key, known->second) : Entry{};
  const bool lost = known != owner_.known.end() && !known->second.plan.empty() && !entry.plan;
  if (known == owner_.known.end() || lost) entry = measure(work, key, operands, ours);
  return &(entries_[key] = std::move(entry));
}

/// The plan of that name, where there still is one.
Selection::Entry Selection::open(const Work& work, const std::string& key, const Choice& choice) {
  for (const auto& provider : providers_) {
    if (!choice.plan.starts_with(provider->name() + " ")) continue;
    for (Entry& entry : plans_of(*provider, work, key))
      if (entry.name == choice.plan) return std::move(entry);
  }
  return {};
}

std::vector<Selection::Entry> Selection::plans_of(Provider& provider, const Work& work,
                                                  const std::string& key) {
  std::vector<Entry> entries;
  try {
    for (std::unique_ptr<Plan>& plan : provider.plans(work))
      entries.push_back(
          {std::move(plan), provider.name() + " " + std::to_string(entries.size() + 1)});
  } catch (const std::exception& e) {
    refuse(provider.name(), key, e.what());
  }
  return entries;
}

Selection::Entry Selection::measure(const Work& work, const std::string& key,
                                    const Operands& operands, const Kernel& ours) {
  Trial trial(*card_, work, operands);
  if (!trial.ready()) return {};  // no memory to try in: ours, for this process
  ours(trial.operands());
  const auto want = trial.read();
  Choice choice;
  choice.ours = card_->seconds([&] { ours(trial.operands()); });
  Entry best;
  for (const auto& provider : providers_) {
    bool refused = false;
    for (Entry& entry : plans_of(*provider, work, key)) {
      std::string fault;
      double seconds = 0;
      try {
        trial.reset();
        entry.plan->run(trial.operands());
        fault = fault_of(work, trial.read(), want);
        if (fault.empty()) seconds = card_->seconds([&] { entry.plan->run(trial.operands()); });
      } catch (const std::exception& e) {
        fault = e.what();
      }
      if (!fault.empty()) {
        if (!std::exchange(refused, true)) refuse(entry.name, key, fault);
        continue;
      }
      if (best.plan != nullptr && seconds >= choice.theirs) continue;
      choice.theirs = seconds;
      choice.fastest = entry.name;
      best = std::move(entry);
    }
  }
  if (best.plan != nullptr && choice.theirs * kMargin < choice.ours)
    choice.plan = best.name;
  else
    best = {};
  owner_.known[key] = choice;
  owner_.keep(key, choice);
  return best;
}

void Selection::refuse(const std::string& provider, const std::string& key,
                       const std::string& why) {
  owner_.warn(provider + " is not used for " + key + ": " + why);
}

}  // namespace noisette::cuda::providers
