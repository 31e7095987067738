#include "train/recorded.h"

#include <spdlog/spdlog.h>

namespace noisette {

bool warn_if_not_recorded(const Replay::State& state, std::string_view what) {
  const bool failed = state.kind == Replay::State::Kind::failed;
  if (failed)
    spdlog::warn("{} cannot be recorded and is done kernel by kernel: {}", what, state.why);
  return failed;
}

}  // namespace noisette
