"""Everything the app does without a screen: no Kivy import anywhere below."""
