// Between graph nodes and the handles that the program has of them.
#pragma once
#include <cuda_runtime_api.h>

#include <vector>

#include "simulator/stream/graph.h"

namespace sim {

inline cudaGraphNode_t handle_of(const Node* node) {
  return reinterpret_cast<cudaGraphNode_t>(const_cast<Node*>(node));
}

inline std::vector<Node*> nodes_of(const cudaGraphNode_t* handles, size_t count) {
  check(count == 0 || handles, cudaErrorInvalidValue);
  std::vector<Node*> nodes;
  for (size_t i = 0; i < count; i++) nodes.push_back(&find_node(handles[i]));
  return nodes;
}

/// Memory nodes; the address is told at once. `shared_too`: other devices reach it.
Node* add_alloc_node(Graph& graph, const std::vector<Node*>& after, const cudaMemPoolProps& pool,
                     size_t bytes, void** address, bool shared_too);
Node* add_free_node(Graph& graph, const std::vector<Node*>& after, void* pointer);

}  // namespace sim
