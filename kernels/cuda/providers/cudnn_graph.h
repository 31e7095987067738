// cuDNN's graph interface: its functions, found when the program runs, and its descriptors.
#pragma once
#include <cudnn.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels/cuda/providers/library.h"

namespace noisette::cuda::providers::cudnn {

struct Api {
  Library library{"libcudnn.so.9"};
  decltype(&cudnnGetVersion) get_version = nullptr;
  decltype(&cudnnGetErrorString) error_text = nullptr;
  decltype(&cudnnCreate) create = nullptr;
  decltype(&cudnnDestroy) destroy = nullptr;
  decltype(&cudnnSetStream) set_stream = nullptr;
  decltype(&cudnnBackendCreateDescriptor) create_descriptor = nullptr;
  decltype(&cudnnBackendDestroyDescriptor) destroy_descriptor = nullptr;
  decltype(&cudnnBackendSetAttribute) set = nullptr;
  decltype(&cudnnBackendGetAttribute) get = nullptr;
  decltype(&cudnnBackendFinalize) finalize = nullptr;
  decltype(&cudnnBackendExecute) execute = nullptr;

  Api() {
    library.find(get_version, "cudnnGetVersion");
    library.find(error_text, "cudnnGetErrorString");
    library.find(create, "cudnnCreate");
    library.find(destroy, "cudnnDestroy");
    library.find(set_stream, "cudnnSetStream");
    library.find(create_descriptor, "cudnnBackendCreateDescriptor");
    library.find(destroy_descriptor, "cudnnBackendDestroyDescriptor");
    library.find(set, "cudnnBackendSetAttribute");
    library.find(get, "cudnnBackendGetAttribute");
    library.find(finalize, "cudnnBackendFinalize");
    library.find(execute, "cudnnBackendExecute");
  }
};
inline Api& api() {
  static Api a;
  return a;
}

class Failure : public std::runtime_error {
 public:
  explicit Failure(cudnnStatus_t status)
      : std::runtime_error("[cuDNN] " + std::string(api().error_text(status))) {}
};
inline void ask(cudnnStatus_t status) {
  if (status != CUDNN_STATUS_SUCCESS) throw Failure(status);
}

/// How the interface calls a type of C++.
template <class V>
constexpr cudnnBackendAttributeType_t type_of() {
  if constexpr (std::is_same_v<V, int64_t>) return CUDNN_TYPE_INT64;
  if constexpr (std::is_same_v<V, float>) return CUDNN_TYPE_FLOAT;
  if constexpr (std::is_same_v<V, bool>) return CUDNN_TYPE_BOOLEAN;
  if constexpr (std::is_same_v<V, void*>) return CUDNN_TYPE_VOID_PTR;
  if constexpr (std::is_same_v<V, cudnnHandle_t>) return CUDNN_TYPE_HANDLE;
  if constexpr (std::is_same_v<V, cudnnDataType_t>) return CUDNN_TYPE_DATA_TYPE;
  if constexpr (std::is_same_v<V, cudnnConvolutionMode_t>) return CUDNN_TYPE_CONVOLUTION_MODE;
  if constexpr (std::is_same_v<V, cudnnPointwiseMode_t>) return CUDNN_TYPE_POINTWISE_MODE;
  if constexpr (std::is_same_v<V, cudnnBackendHeurMode_t>) return CUDNN_TYPE_HEUR_MODE;
  if constexpr (std::is_same_v<V, cudnnBackendNumericalNote_t>) return CUDNN_TYPE_NUMERICAL_NOTE;
}

/// A descriptor, with those that it was made of. Copies are the same one.
class Descriptor {
 public:
  explicit Descriptor(cudnnBackendDescriptorType_t type) : state_(std::make_shared<State>()) {
    ask(api().create_descriptor(type, &state_->raw));
  }

  template <class V>
  Descriptor& set(cudnnBackendAttributeName_t name, const V& value) {
    return set(name, type_of<V>(), 1, &value);
  }
  template <class V>
  Descriptor& set(cudnnBackendAttributeName_t name, const std::vector<V>& values) {
    return set(name, type_of<V>(), int64_t(values.size()), values.data());
  }
  Descriptor& set(cudnnBackendAttributeName_t name, const Descriptor& other) {
    return set(name, std::vector<Descriptor>{other});
  }
  Descriptor& set(cudnnBackendAttributeName_t name, const std::vector<Descriptor>& others) {
    std::vector<cudnnBackendDescriptor_t> all;
    for (const Descriptor& other : others) {
      all.push_back(other.raw());
      state_->parts.push_back(other);
    }
    return set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, int64_t(all.size()), all.data());
  }
  Descriptor& finalize() {
    ask(api().finalize(raw()));
    return *this;
  }

  /// At most so many.
  template <class V>
  std::vector<V> get(cudnnBackendAttributeName_t name, int64_t most) const {
    std::vector<V> values(static_cast<std::size_t>(most));
    int64_t count = 0;
    ask(api().get(raw(), name, type_of<V>(), most, &count, values.data()));
    values.resize(std::size_t(std::min(count, most)));
    return values;
  }
  std::vector<Descriptor> get(cudnnBackendAttributeName_t name, cudnnBackendDescriptorType_t type,
                              int64_t most) const {
    std::vector<Descriptor> all;
    std::vector<cudnnBackendDescriptor_t> raws;
    for (int64_t i = 0; i < most; ++i) {
      raws.push_back(all.emplace_back(type).raw());
      all.back().state_->parts.push_back(*this);
    }
    int64_t count = 0;
    ask(api().get(raw(), name, CUDNN_TYPE_BACKEND_DESCRIPTOR, most, &count, raws.data()));
    while (int64_t(all.size()) > count) all.pop_back();
    return all;
  }
  cudnnBackendDescriptor_t raw() const { return state_->raw; }

 private:
  struct State {
    cudnnBackendDescriptor_t raw = nullptr;
    std::vector<Descriptor> parts = {};

    State() = default;
    ~State() {
      if (raw != nullptr) (void)api().destroy_descriptor(raw);
    }
    State(const State&) = delete;
    State& operator=(const State&) = delete;
  };
  Descriptor& set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
                  const void* values) {
    ask(api().set(raw(), name, type, count, values));
    return *this;
  }

  std::shared_ptr<State> state_;
};

}  // namespace noisette::cuda::providers::cudnn
