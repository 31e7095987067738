// What is said of recorded work (framework/core/replay.h).
#pragma once
#include <string_view>

#include "framework/core/replay.h"

namespace noisette {

/// Warns where `what` ("the step") could not be recorded, and says why. Whether it did.
bool warn_if_not_recorded(const Replay::State& state, std::string_view what);

}  // namespace noisette
