// Functions that the device's run time library provides: vprintf, __assertfail, malloc, free. CUDA
// programming guide, "Formatted output", "Assertion", "Dynamic global memory allocation".
#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstring>
#include <mutex>

#include "simulator/exec/access.h"
#include "simulator/exec/lanes.h"
#include "simulator/exec/types.h"
#include "simulator/memory/heap.h"
#include "simulator/memory/memory.h"
#include "simulator/run/block.h"
#include "simulator/run/state.h"

namespace sim {
namespace {

/// Offsets of arguments and results in the caller's parameters.
struct Builtin {
  std::vector<uint32_t> params, results;
};

template <class T>
T argument(Warp& w, const Inst& i, int lane, size_t k) {
  T value;
  std::memcpy(&value, w.frame().param(lane) + static_cast<const Builtin*>(i.extra)->params.at(k),
              sizeof value);
  return value;
}
template <class T>
void give_back(Warp& w, const Inst& i, int lane, T value) {
  std::memcpy(w.frame().param(lane) + static_cast<const Builtin*>(i.extra)->results.at(0), &value,
              sizeof value);
}

/// Bytes at a generic address, as one lane reads them.
const uint8_t* bytes_at(Warp& w, const Inst& i, int lane, uint64_t address, uint32_t bytes) {
  Addresses at;
  at.fill(address);
  Reached memory;
  reach(w, i, ptx::Space::generic, 1u << lane, at, bytes, Use::read, memory);
  return memory.to[size_t(lane)];
}

std::string string_at(Warp& w, const Inst& i, int lane, uint64_t address) {
  std::string text;
  for (; text.size() < 65536; ++address) {
    const char c = char(*bytes_at(w, i, lane, address, 1));
    if (c == 0) break;
    text += c;
  }
  return text;
}

/// One conversion of a format, with its value from the arguments, which lie one behind the other,
/// each aligned to its size: 4 bytes for int, 8 for long, pointers and double.
std::string converted(Warp& w, const Inst& i, int lane, std::string spec, uint64_t& next) {
  const char kind = spec.back();
  if (kind == 'n') return spec;  // nothing to print, and the host's would write to memory
  for (size_t star; (star = spec.find('*')) != spec.npos;) {
    next = (next + 3) / 4 * 4;
    int32_t width;
    std::memcpy(&width, bytes_at(w, i, lane, next, 4), 4);
    next += 4;
    spec.replace(star, 1, std::to_string(width));
  }
  const bool wide = spec.find('l') != spec.npos || spec.find('z') != spec.npos ||
                    spec.find('j') != spec.npos || kind == 'p' || kind == 's' ||
                    std::strchr("aAeEfFgG", kind);
  const uint32_t bytes = wide ? 8 : 4;
  next = (next + bytes - 1) / bytes * bytes;
  uint64_t value = 0;
  std::memcpy(&value, bytes_at(w, i, lane, next, bytes), bytes);
  next += bytes;
  char text[512];
  const char* format = spec.c_str();
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
  if (kind == 's') {
    const std::string s = string_at(w, i, lane, value);
    std::snprintf(text, sizeof text, format, s.c_str());
  } else if (std::strchr("aAeEfFgG", kind)) {
    std::snprintf(text, sizeof text, format, std::bit_cast<double>(value));
  } else if (wide) {
    std::snprintf(text, sizeof text, format, value);
  } else {
    std::snprintf(text, sizeof text, format, uint32_t(value));
  }
#pragma GCC diagnostic pop
  return text;
}

std::string formatted(Warp& w, const Inst& i, int lane, const std::string& format,
                      uint64_t arguments) {
  std::string out;
  for (size_t at = 0; at < format.size(); ++at) {
    if (format[at] != '%') {
      out += format[at];
      continue;
    }
    if (at + 1 < format.size() && format[at + 1] == '%') {
      out += format[++at];
      continue;
    }
    const size_t end = format.find_first_of("diouxXeEfFgGaAcspn", at + 1);
    if (end == format.npos) return out + format.substr(at);
    out += converted(w, i, lane, format.substr(at, end + 1 - at), arguments);
    at = end;
  }
  return out;
}

void print(Warp& w, const Inst& i, uint32_t mask) {
  static std::mutex one_at_a_time;
  each_lane(mask, [&](int l) {
    const std::string format = string_at(w, i, l, argument<uint64_t>(w, i, l, 0));
    const std::string text = formatted(w, i, l, format, argument<uint64_t>(w, i, l, 1));
    const std::lock_guard lock(one_at_a_time);
    std::fwrite(text.data(), 1, text.size(), stdout);
    give_back<int32_t>(w, i, l, int32_t(std::count(format.begin(), format.end(), '%')));
  });
}

/// __assertfail(message, file, line, function, char size)
void assert_fail(Warp& w, const Inst& i, uint32_t mask) {
  const int l = std::countr_zero(mask);
  const std::string message = string_at(w, i, l, argument<uint64_t>(w, i, l, 0));
  const std::string file = string_at(w, i, l, argument<uint64_t>(w, i, l, 1));
  const auto line = argument<uint32_t>(w, i, l, 2);
  const std::string function = string_at(w, i, l, argument<uint64_t>(w, i, l, 3));
  throw w.at({"assertion failed",
              file + ":" + std::to_string(line) + ": " + function + ": `" + message + "`"},
             l);
}

void device_malloc(Warp& w, const Inst& i, uint32_t mask) {
  each_lane(mask, [&](int l) {
    const auto bytes = argument<uint64_t>(w, i, l, 0);
    const auto at = heap_allocate(bytes, w.block().launch().device);
    give_back<uint64_t>(w, i, l, at.value_or(0));
  });
}

void device_free(Warp& w, const Inst& i, uint32_t mask) {
  each_lane(mask, [&](int l) {
    const auto at = argument<uint64_t>(w, i, l, 0);
    if (at == 0) return;
    const FreeResult r = heap_release(at);
    if (r == FreeResult::already_freed) throw w.at({"double free", describe_address(at)}, l);
    if (r != FreeResult::done)
      throw w.at({"free of what malloc did not give", describe_address(at)}, l);
  });
}

}  // namespace

bool decode_builtin(Decoder& d, const Instruction&, const std::string& name,
                    const std::vector<uint32_t>& params, const std::vector<uint32_t>& results,
                    Inst& inst) {
  if (name == "vprintf")
    inst.run = print;
  else if (name == "__assertfail")
    inst.run = assert_fail;
  else if (name == "malloc")
    inst.run = device_malloc;
  else if (name == "free")
    inst.run = device_free;
  else
    return false;
  auto kept = std::make_shared<const Builtin>(Builtin{params, results});
  inst.extra = kept.get();
  d.code().extras.push_back(std::move(kept));
  return true;
}

}  // namespace sim
