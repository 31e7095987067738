// Memory that graphs allocate. Its addresses are known when the node is made; launches make the
// memory usable and unusable again.
#include <algorithm>
#include <cstring>
#include <map>
#include <unordered_map>

#include "simulator/memory/memory.h"
#include "simulator/stream/graph.h"

namespace sim {
namespace {

struct Block {
  int device = 0;
  uint64_t bytes = 0;
  bool left = false;  // a launch allocated it and did not free it
};

std::unordered_map<uint64_t, Block>& blocks() {
  static auto* const all = new std::unordered_map<uint64_t, Block>;
  return *all;
}

void drop(uint64_t address) {
  const auto it = blocks().find(address);
  graph_memory(it->second.device).used -= it->second.bytes;
  blocks().erase(it);
  release(address);
}

}  // namespace

GraphMemory& graph_memory(int device) {
  static auto* const all = new std::map<int, GraphMemory>;
  return (*all)[device];
}

std::optional<uint64_t> allocate_for(Graph& graph, uint64_t bytes, int device, const char* call,
                                     uint64_t limit) {
  const auto base = allocate(bytes, device, MemoryKind::device, call, limit);
  if (!base) return base;
  std::memset(shadow(*base), kUnmapped, bytes);
  blocks()[*base] = {device, bytes, false};
  GraphMemory& m = graph_memory(device);
  m.used += bytes;
  m.used_high = std::max(m.used_high, m.used);
  graph.keeps.emplace_back(reinterpret_cast<const void*>(*base),
                           [address = *base](const void*) { drop(address); });
  return base;
}

bool has_memory_nodes(const Graph& graph) {
  return std::any_of(graph.nodes.begin(), graph.nodes.end(), [](const auto& n) {
    return std::holds_alternative<AllocOp>(n->op.work) ||
           std::holds_alternative<FreeOp>(n->op.work);
  });
}

bool is_graph_memory(uint64_t address) { return blocks().contains(address); }
bool is_kept_by_graph(uint64_t address) {
  const auto it = blocks().find(address);
  return it != blocks().end() && !it->second.left;
}

void graph_memory_freed(uint64_t address) {
  if (const auto it = blocks().find(address); it != blocks().end()) it->second.left = false;
}

void begin_memory(const std::vector<ExecNode>& nodes, bool free_first) {
  std::vector<Block*> left;
  for (const ExecNode& n : nodes) {
    const auto* op = std::get_if<AllocOp>(&n.op.work);
    if (!op) continue;
    Block& block = blocks().at(op->address);
    check(!block.left || free_first, cudaErrorInvalidValue);
    const bool freed = std::any_of(nodes.begin(), nodes.end(), [&](const ExecNode& m) {
      const auto* f = std::get_if<FreeOp>(&m.op.work);
      return f && f->address == op->address;
    });
    if (!freed) left.push_back(&block);
  }
  for (Block* block : left) block->left = true;
  for (const ExecNode& n : nodes)  // of what another graph left
    if (const auto* op = std::get_if<FreeOp>(&n.op.work)) graph_memory_freed(op->address);
}

}  // namespace sim
