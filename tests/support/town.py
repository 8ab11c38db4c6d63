"""The smallest extract that has something of everything."""

from __future__ import annotations

STREET = (24.943, 60.166)  # where it can be seen
# A street that leaves the extract and comes back, a house, and a coast with the sea in the east.
SMALL_TOWN = """<?xml version="1.0" encoding="UTF-8"?>
<osm version="0.6">
  <bounds minlon="24.94" minlat="60.16" maxlon="24.96" maxlat="60.18"/>
  <node id="1" lon="24.941" lat="60.165" version="1"/>
  <node id="2" lon="24.943" lat="60.166" version="1"/>
  <node id="3" lon="24.944" lat="60.168" version="1"/>
  <node id="4" lon="24.945" lat="60.169" version="1"/>
  <node id="5" lon="24.942" lat="60.170" version="1"/>
  <node id="6" lon="24.943" lat="60.170" version="1"/>
  <node id="7" lon="24.943" lat="60.171" version="1"/>
  <node id="8" lon="24.950" lat="60.161" version="1"/>
  <node id="9" lon="24.951" lat="60.179" version="1"/>
  <node id="10" lon="24.944" lat="60.172" version="1">
    <tag k="place" v="town"/><tag k="name" v="Småstad"/><tag k="name:ar" v="بلدة"/>
  </node>
  <way id="20" version="1">
    <nd ref="1"/><nd ref="2"/><nd ref="90"/><nd ref="3"/><nd ref="4"/>
    <tag k="highway" v="residential"/><tag k="name" v="Rantakatu"/>
  </way>
  <way id="21" version="1"><nd ref="5"/><nd ref="6"/><nd ref="7"/><nd ref="5"/><tag k="building" v="yes"/></way>
  <way id="22" version="1"><nd ref="8"/><nd ref="9"/><tag k="natural" v="coastline"/></way>
</osm>
"""
