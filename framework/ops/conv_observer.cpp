#include "framework/ops/conv_observer.h"

#include <algorithm>

namespace noisette {
namespace {
thread_local ConvObserver* active = nullptr;
}

ConvObserver::ConvObserver() { active = this; }
ConvObserver::~ConvObserver() { active = nullptr; }

void note_conv(ConvPass pass, const ConvDims& dims, DType dtype) {
  if (active == nullptr || dtype == DType::f64) return;
  const cpu::ConvCase c = {pass, dims, dtype == DType::bf16};
  auto& cases = active->cases_;
  if (std::find(cases.begin(), cases.end(), c) == cases.end()) cases.push_back(c);
}

}  // namespace noisette
