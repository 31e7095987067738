// Any bytes as PTX whose kernels are decoded: either one sentence with a line, or an image whose
// instructions all have somebody who executes them.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "simulator/code/decoder.h"

namespace {

using namespace sim;

void check(bool holds) {
  if (!holds) std::abort();
}

/// Where things lie, without the memory: as Program (run/program.cpp) does it.
Symbols symbols_of(const ptx::Module& module, std::vector<std::string>& dynamic) {
  Symbols symbols;
  uint64_t shared = 0, next = 0x2000'0000'0000;
  for (const ptx::Variable& v : module.variables) {
    if (v.space == ptx::Space::shared && v.bytes == 0) {
      dynamic.push_back(v.name);
      continue;
    }
    uint64_t& at = v.space == ptx::Space::shared ? shared : next;
    at = (at + v.align - 1) / v.align * v.align;
    symbols.places[v.name] = {v.space, at, v.bytes};
    at += v.bytes;
  }
  for (const ptx::Function& f : module.functions) {
    symbols.functions[f.name] = &f;
    symbols.function_address.emplace(f.name,
                                     kCodeBase + symbols.function_address.size() * kCodeStep);
  }
  return symbols;
}

void check_image(const Image& image) {
  check(image.entry != nullptr);
  for (const auto& [function, code] : image.codes) {
    check(code->insts.size() == function->code.size() + 1);
    for (const Inst& inst : code->insts) {
      check(inst.run != nullptr);
      check(inst.guard == kNoPredicate || inst.guard < code->predicates);
      for (const Row row : {inst.d, inst.a, inst.b, inst.c})
        check(row.byte() < (row.bank() == kRegisters   ? code->register_bytes
                            : row.bank() == kConstants ? code->constants.size() * 4
                                                       : kSpecials_ * kRow));
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const ptx::Module module = ptx::parse({reinterpret_cast<const char*>(data), size});
    std::vector<std::string> dynamic;
    const Symbols symbols = symbols_of(module, dynamic);
    for (const ptx::Function& f : module.functions) {
      if (!f.entry || f.external) continue;
      try {
        check_image(*make_image(module, symbols, f, dynamic));
      } catch (const Unsupported& e) {
        check(std::string_view(e.what()).find(" line ") != std::string_view::npos);
      }
    }
  } catch (const ptx::ParseError&) {
  }
  return 0;
}
