// What an operation complains about.
#pragma once
#include <string>

#include "framework/core/check.h"

namespace noisette::testing_support {

/// Text of the error that f throws, or "no error".
template <class F>
std::string message_of(F&& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

}  // namespace noisette::testing_support
