"""What a program can hold: scalar types, persistent collections, equality, hash, order, numbers, text and encoding.

Everything here is plain data and pure functions on it.  Import from this package, not from its modules.
"""

from flowmetal.values.base import MISSING, Collection, Heap, Spanned, Value
from flowmetal.values.codec import (
    DEFAULT_LIMITS,
    HashedModules,
    Limits,
    ModuleOwner,
    ModuleTable,
    Reader,
    decode_value,
    encode_value,
    encoder_after,
    pack,
    set_state,
    state_of,
    unpack,
)
from flowmetal.values.compare import compare
from flowmetal.values.convert import from_python, is_keyword_text, to_python
from flowmetal.values.decoder import Decoder
from flowmetal.values.deep_hash import settle
from flowmetal.values.encoder import Encoder
from flowmetal.values.equality import equal
from flowmetal.values.errors import CodecError, ErrorValue, LanguageError, NeedsRealize, fail
from flowmetal.values.functions import BuiltinFn, Closure, Reduced
from flowmetal.values.hash_trie import HashLeaf, HashNode
from flowmetal.values.hashing import hash_of
from flowmetal.values.keys import identical, key_of, unkey
from flowmetal.values.maps import EMPTY_MAP, Map
from flowmetal.values.meta import meta_of, span_of, takes_meta, with_meta, with_span, without_meta
from flowmetal.values.mutable import Cell, Mutable, Promise, Resumption
from flowmetal.values.numbers import (
    DECIMAL_DIGITS_MAX,
    INTEGER_BITS_MAX,
    absolute,
    add,
    compare_numbers,
    decrement,
    divide,
    floor_number,
    increment,
    int_text,
    is_number,
    less,
    less_equal,
    modulo,
    multiply,
    negate,
    normal,
    num_equal,
    parse_int,
    quotient,
    rationalize,
    remainder,
    subtract,
    to_float,
    to_integer,
)
from flowmetal.values.printer import char_text, float_text, print_string, string_text
from flowmetal.values.scalars import Char, Duration, Instant, Keyword, Pid, Regex, Symbol, keyword, split_name, symbol
from flowmetal.values.seqs import EMPTY_LIST, Cons, LazySeq, List, Range
from flowmetal.values.sequences import (
    assoc,
    conj,
    cons,
    contains,
    count,
    dissoc,
    empty,
    first,
    get,
    into,
    is_empty,
    is_seq,
    is_seqable,
    iterate,
    next_,
    nth,
    peek,
    pop,
    rest,
    seq,
    to_list,
    to_vector,
)
from flowmetal.values.sets import EMPTY_SET, Set
from flowmetal.values.sorted import EMPTY_SORTED_MAP, EMPTY_SORTED_SET, SortedMap, SortedNode, SortedSet
from flowmetal.values.time_text import duration_text, instant_text, parse_duration, parse_instant
from flowmetal.values.transients import TransientMap, TransientSet, TransientVector
from flowmetal.values.vector import EMPTY_VECTOR, Vector, VectorNode, VectorSeq
