#include "framework/core/shape.h"

#include "framework/core/check.h"

namespace noisette {

int64_t Shape::dim(int64_t axis) const {
  const int64_t i = axis < 0 ? axis + ndim() : axis;
  check(i >= 0 && i < ndim(), "[shape] axis {} does not exist in shape {}", axis, *this);
  return dims_[std::size_t(i)];
}

int64_t Shape::numel() const {
  int64_t n = 1;
  for (int64_t d : dims_) n *= d;
  return n;
}

std::string Shape::str() const {
  std::string text = "[";
  for (std::size_t i = 0; i < dims_.size(); ++i) text += (i ? ", " : "") + std::to_string(dims_[i]);
  return text + "]";
}

}  // namespace noisette
